import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { metricsHandler } from './metrics-handler';

/** Prometheus opens one connection; more are for people who look. */
const MAX_CONNECTIONS = 50;

/** The listener of METRICS_PORT, which serves `/metrics` and nothing else. */
export class MetricsServer {
  private readonly server;

  constructor(
    private readonly address: { port: number; host: string },
    handle: ReturnType<typeof metricsHandler>,
  ) {
    this.server = createServer((request, response) => {
      if (request.url?.split('?')[0] === '/metrics') handle(request, response);
      else response.writeHead(404).end();
    });
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  /** Where the metrics are: `http://127.0.0.1:9464/metrics`. */
  get url(): string {
    const { address, family, port } = this.server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/metrics`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      // Exclusive: the processes of a cluster must not answer for each other.
      this.server.listen({ ...this.address, exclusive: true }, () => {
        this.server.off('error', reject);
        resolve();
      });
    });
    this.server.on('error', () => undefined);
    // Metrics must not keep a process alive.
    this.server.unref();
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}
