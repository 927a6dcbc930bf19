import { createServer } from 'node:http';
import { isIPv6, type AddressInfo } from 'node:net';
import type { metricsHandler } from './metrics-handler';

/** Prometheus opens one connection; more are for people who look. */
const MAX_CONNECTIONS = 50;

/** How often a process of a cluster tries to open its listener, while another one has the port. */
const RETRY_MS = 500;

/** The listener of METRICS_PORT, which serves `/metrics` and nothing else. */
export class MetricsServer {
  private readonly server;
  private retry: NodeJS.Timeout | undefined;

  /**
   * @param waitsForPort whether another process may have the port, which this one replaces: in a cluster, it runs until
   *   this one is ready.
   */
  constructor(
    private readonly address: { port: number; host: string },
    handle: ReturnType<typeof metricsHandler>,
    private readonly waitsForPort = false,
  ) {
    this.server = createServer((request, response) => {
      if (request.url?.split('?')[0] === '/metrics') handle(request, response);
      else response.writeHead(404).end();
    });
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  /** Where the metrics are: `http://127.0.0.1:9464/metrics`. */
  get url(): string {
    const bound = this.server.address() as AddressInfo | null;
    const host = bound?.address ?? this.address.host;
    return `http://${isIPv6(host) ? `[${host}]` : host}:${bound?.port ?? this.address.port}/metrics`;
  }

  async start(): Promise<void> {
    try {
      await this.listen();
    } catch (error) {
      if (!this.waitsForPort || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      this.retry = setTimeout(() => void this.start().catch(() => undefined), RETRY_MS);
      this.retry.unref();
      return;
    }
    this.server.on('error', () => undefined);
    // Metrics must not keep a process alive.
    this.server.unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.retry);
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }

  private listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      // Exclusive: the processes of a cluster must not answer for each other.
      this.server.listen({ ...this.address, exclusive: true }, () => {
        this.server.off('error', reject);
        resolve();
      });
    });
  }
}
