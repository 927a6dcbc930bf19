/**
 * Runs the steps of the Dockerfile in a temporary folder, without Docker: each stage is a folder. Then it starts the
 * server as the image does (as another user, and as process 1 where the system allows that), asks its health check, and
 * stops it with SIGTERM. It uses the Node.js of this machine in place of that of the image.
 *
 *   npm run check:image
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { parseCopy, parseDockerfile, readDockerignore, variablesOf, type Stage } from './dockerfile';

const ROOT = join(__dirname, '..');

/** How long the server may take to become ready, and to end, in seconds. The second is the one that docker stop allows. */
const READY_SECONDS = 60;
const STOP_SECONDS = 10;

const isIgnored = readDockerignore(readFileSync(join(ROOT, '.dockerignore'), 'utf8'));
const stages = parseDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
const isRoot = process.getuid?.() === 0;
/** The user of the image, or another one without rights if this machine does not have it. */
const user = spawnSync('id', ['node']).status === 0 ? 'node' : 'nobody';
const group = spawnSync('id', ['-gn', user]).stdout.toString().trim();

function run(command: string, cwd: string, environment: NodeJS.ProcessEnv): void {
  console.log(`RUN ${command}`);
  const { status } = spawnSync('sh', ['-c', command], { cwd, env: environment, stdio: 'inherit' });
  if (status !== 0) throw new Error(`exited with ${status}: ${command}`);
}

/** Replaces the absolute paths of a command, and the user if it does not exist here. */
function localize(command: string, folder: string): string {
  const replaced = command.replaceAll(/(?<=^|\s)\/(?=\w)/g, `${folder}/`);
  if (!isRoot) return replaced.replaceAll(/-[og] node /g, '');
  return replaced.replaceAll('-o node ', `-o ${user} `).replaceAll('-g node ', `-g ${group} `);
}

function copy(text: string, workDir: string, folderOf: (stage: string) => string): void {
  console.log(`COPY ${text}`);
  const { sources, target, from } = parseCopy(text);
  const base = from === undefined ? ROOT : folderOf(from);
  for (const source of sources) {
    const path = join(base, source);
    const into = join(workDir, target);
    const destination =
      target.endsWith('/') && !statSync(path).isDirectory() ? join(into, basename(source)) : into;
    cpSync(path, destination, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (each) => {
        const inside = relative(base, each);
        if (from !== undefined || !isIgnored(inside)) return true;
        if (each === path) throw new Error(`.dockerignore keeps ${inside} from the builder`);
        return false;
      },
    });
  }
}

/** Runs the steps of a stage. @returns the folder of its WORKDIR. */
function build(stage: Stage, folder: string, folderOf: (name: string) => string): string {
  let workDir = folder;
  // As in the image: nothing of this machine but its programs.
  const environment: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: folder, ...variablesOf(stage) };
  for (const name of ['npm_config_registry', 'npm_config_cache', 'HTTPS_PROXY', 'NODE_EXTRA_CA_CERTS'])
    environment[name] = process.env[name];
  for (const { name, text } of stage.instructions) {
    if (name === 'WORKDIR') mkdirSync((workDir = join(folder, text)), { recursive: true });
    if (name === 'COPY') copy(text, workDir, folderOf);
    if (name === 'RUN') run(localize(text, folder), workDir, environment);
  }
  return workDir;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The command of a CMD or HEALTHCHECK in its JSON form. */
function commandOf(stage: Stage, name: string): string[] {
  const { text } = stage.instructions.findLast((each) => each.name === name)!;
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
}

/** Where the system allows it, the command becomes process 1 of a namespace, as in a container. */
function asProcessOne(command: string[]): { command: string[]; isProcessOne: boolean } {
  if (!isRoot) return { command, isProcessOne: false };
  const asUser = [
    'setpriv',
    `--reuid=${user}`,
    `--regid=${group}`,
    '--clear-groups',
    '--no-new-privs',
    ...command,
  ];
  const namespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
  const isProcessOne = spawnSync(namespace[0]!, [...namespace.slice(1), 'true']).status === 0;
  return { command: isProcessOne ? [...namespace, ...asUser] : asUser, isProcessOne };
}

/** The pid of the server itself, which may be the child of what was started. */
function serverPid(child: ChildProcess, isProcessOne: boolean): number {
  if (!isProcessOne) return child.pid!;
  return Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
}

async function start(stage: Stage, folder: string, workDir: string): Promise<void> {
  const settings = variablesOf(stage);
  const environment = {
    PATH: process.env['PATH'],
    HOME: folder,
    ...settings,
    DATA_DIR: join(folder, settings['DATA_DIR']!),
    UPLOAD_DIR: join(folder, settings['UPLOAD_DIR']!),
    PORT: String(await freePort()),
    JWT_SECRET: randomBytes(32).toString('hex'),
    ENCRYPTION_KEY: randomBytes(32).toString('hex'),
  };
  const [check, ...checkArgs] = commandOf(stage, 'HEALTHCHECK');
  const isHealthy = (...more: string[]) =>
    spawnSync(check!, [...checkArgs, ...more], { cwd: workDir, env: environment }).status === 0;
  if (isHealthy()) throw new Error('The health check passes while the server does not run.');
  const { command, isProcessOne } = asProcessOne(commandOf(stage, 'CMD'));
  console.log(`CMD ${command.join(' ')}`);
  const child = spawn(command[0]!, command.slice(1), { cwd: workDir, env: environment, stdio: 'inherit' });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  try {
    if (!isHealthy('--wait', String(READY_SECONDS))) throw new Error('The server has not become healthy.');
    console.log(`Healthy. SIGTERM${isProcessOne ? ' to process 1' : ''}`);
    process.kill(serverPid(child, isProcessOne), 'SIGTERM');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), STOP_SECONDS * 1000);
    });
    const code = await Promise.race([exited, late]);
    clearTimeout(timer);
    if (code !== 0) throw new Error(`The server has not ended on SIGTERM: ${code}`);
  } finally {
    child.kill('SIGKILL');
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-image-'));
  // The server runs as another user.
  chmodSync(folder, 0o755);
  try {
    const folderOf = (name: string) => join(folder, name);
    let workDir = folder;
    for (const stage of stages) {
      const stageFolder = folderOf(stage.name ?? 'image');
      mkdirSync(stageFolder);
      workDir = build(stage, stageFolder, folderOf);
    }
    if (existsSync(join(workDir, 'node_modules', 'typescript')))
      throw new Error('The image has development libraries.');
    console.log(spawnSync('du', ['-sh', workDir]).stdout.toString().trim().replace(workDir, 'in /app'));
    await start(stages.at(-1)!, folderOf('image'), workDir);
    console.log('The steps of the Dockerfile work.');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
