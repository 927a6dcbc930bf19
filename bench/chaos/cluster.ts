import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { MongoClient } from 'mongodb';
import { collectionsOf, type Collections } from '../../src/db/collections';
import { freePort } from '../../src/__tests__/fixtures/free-port';
import { cleanUp, spawnServer, temporaryFolder } from '../../src/__tests__/fixtures/process';
import { startRedis, type RedisProcess } from '../../src/__tests__/fixtures/redis';
import { until } from '../../src/__tests__/fixtures/until';

const DATABASE_ENTRY = join(__dirname, '..', '..', 'dist', 'scripts', 'embedded-db.js');

/** What a fault does to a node. A frozen process has its connections, but does nothing (SIGSTOP). */
export type NodeState = 'running' | 'frozen' | 'killed';

/** One of the server processes, with a load balancer in front of it. */
export interface ClusterNode {
  index: number;
  /** The URL of the process itself. */
  url: string;
  /** The URL of a load balancer that connects to this node, or to another one while this one is killed. */
  balancedUrl: string;
  state: NodeState;
  process: Awaited<ReturnType<typeof spawnServer>>;
}

/** Parley as several processes on one database (`npm run db`), with Redis, as an operator would start them. */
export class Cluster {
  readonly nodes: ClusterNode[] = [];
  private readonly balancers: Server[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(
    readonly collections: Collections,
    private readonly settings: Record<string, string>,
    private readonly database: { client: MongoClient; stop: () => Promise<void> },
    private redis: RedisProcess | undefined,
    private readonly redisPort: number,
  ) {}

  /** Starts everything. @param settings of all nodes, in addition to the ones that a cluster requires. */
  static async start(count: number, settings: Record<string, string> = {}): Promise<Cluster> {
    const [folder, database, redis] = await Promise.all([temporaryFolder(), startDatabase(), startRedis()]);
    const client = await new MongoClient(database.uri).connect();
    const common = {
      DATA_DIR: folder,
      MONGODB_URI: database.uri,
      REDIS_URL: redis.url,
      JWT_SECRET: randomBytes(32).toString('hex'),
      ENCRYPTION_KEY: randomBytes(32).toString('hex'),
      THROTTLE_ENABLED: 'false',
      PEERJS_ENABLED: 'false',
      LINK_PREVIEWS: 'false',
      LOG_LEVEL: 'warn',
      SOCKET_EVENTS_PER_SECOND: '100000',
      ...settings,
    };
    const parts = { client, stop: database.stop };
    const cluster = new Cluster(
      collectionsOf(client.db('parley'), () => undefined),
      common,
      parts,
      redis,
      redis.port,
    );
    await Promise.all(Array.from({ length: count }, (_, index) => cluster.add(index)));
    return cluster;
  }

  /** The nodes that answer. */
  get running(): ClusterNode[] {
    return this.nodes.filter(({ state }) => state === 'running');
  }

  get isRedisRunning(): boolean {
    return this.redis !== undefined;
  }

  async kill(node: ClusterNode): Promise<void> {
    node.state = 'killed';
    node.process.signal('SIGKILL');
    await node.process.exited;
  }

  async restart(node: ClusterNode): Promise<void> {
    const { process } = await this.spawn(node.index, Number(new URL(node.url).port));
    node.process = process;
    node.state = 'running';
  }

  freeze(node: ClusterNode): void {
    node.state = 'frozen';
    node.process.signal('SIGSTOP');
  }

  resume(node: ClusterNode): void {
    node.process.signal('SIGCONT');
    node.state = 'running';
  }

  async stopRedis(): Promise<void> {
    const { redis } = this;
    this.redis = undefined;
    await redis?.close();
  }

  async startRedis(): Promise<void> {
    this.redis = await startRedis(this.redisPort);
  }

  /** Lets Redis refuse everything that nodes publish, while their connections stay open. */
  async refuseEvents(refused: boolean): Promise<void> {
    const redis = new Redis(this.redis!.url);
    await redis.call('ACL', 'SETUSER', 'default', refused ? '-publish' : '+publish');
    redis.disconnect();
  }

  /** What the nodes have written to their logs: warnings and errors. */
  logs(): string[] {
    return this.nodes.map(({ process }) => process.stdout + process.stderr);
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const balancer of this.balancers) balancer.close();
    for (const node of this.nodes) if (node.state === 'frozen') this.resume(node);
    await cleanUp();
    await this.database.client.close();
    await this.database.stop();
    await this.redis?.close();
  }

  private async add(index: number): Promise<void> {
    const { url, process } = await this.spawn(index, await freePort());
    const balancedUrl = await this.balance(index);
    this.nodes[index] = { index, url, balancedUrl, state: 'running', process };
  }

  private async spawn(index: number, port: number) {
    const process = await spawnServer({ ...this.settings, PORT: String(port) });
    const url = await process.listening();
    return { url, process, index };
  }

  /** Starts a load balancer. @returns its URL. */
  private async balance(index: number): Promise<string> {
    const server = createServer((client) => {
      const own = this.nodes[index]!;
      const node = own.state === 'killed' ? this.nodes.find(({ state }) => state !== 'killed') : own;
      const upstream = connect(Number(new URL((node ?? own).url).port), '127.0.0.1');
      for (const socket of [client, upstream]) {
        this.sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream).pipe(client);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.balancers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
}

/** Starts `npm run db` on a free port. */
async function startDatabase(): Promise<{ uri: string; stop: () => Promise<void> }> {
  const folder = await temporaryFolder();
  const child = spawn(process.execPath, [DATABASE_ENTRY, '--port', '0', '--data', folder], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await until(() => {
    if (child.exitCode !== null) throw new Error(`The database has ended: ${output}`);
    return output.includes('\n');
  }, 20_000);
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  return { uri: output.split('\n')[0]!, stop };
}
