/**
 * Who may import whom (docs/architecture.md). Each folder of src has the full list of the folders it may
 * use; anything else is an error, and so is a cycle.
 */
const MAY_USE = {
  server: ['start-server', 'context', 'config', 'services/kernel', 'utils'],
  'start-server': ['app', 'context', 'config', 'monitoring', 'services/kernel', 'sockets'],
  app: ['context', 'config', 'monitoring', 'routes', 'middleware', 'utils'],
  monitoring: ['context', 'services/kernel', 'config', 'utils'],
  context: ['monitoring', 'services', 'db', 'config', 'models', 'utils'],
  routes: ['context', 'controllers', 'middleware', 'services', 'models', 'config', 'utils'],
  controllers: ['services', 'models', 'utils'],
  middleware: ['services', 'models', 'config', 'utils'],
  sockets: ['context', 'services', 'models', 'config', 'utils'],
  services: ['db', 'models', 'utils'],
  db: ['models', 'utils'],
  models: ['utils'],
  config: ['utils'],
  utils: [],
  scripts: ['context', 'config', 'db', 'services', 'models', 'utils'],
};
const part = (name) => `^src/${name}(/|\\.ts$)`;

/**
 * The folders of src/services, lowest first: each one may use itself and those before it. A service whose file is
 * directly in src/services belongs to the folder named beside it.
 */
const DOMAINS = [
  ['kernel'],
  ['audit'],
  ['access'],
  ['users', 'user.service'],
  ['operations'],
  ['identity'],
  ['files'],
  ['notifications'],
  ['reading'],
  ['presence'],
  ['channels', 'channel.service'],
  ['groups', 'group.service'],
  ['search'],
  ['messages', 'message.service'],
  ['calls', 'video-call.service'],
  ['writing'],
  ['catch-up'],
  ['accounts'],
  ['admin', 'admin.service'],
  ['moderation'],
  ['idempotency'],
  ['integrations'],
  ['backup'],
  ['seed', 'database.seeder'],
];
const domain = (names) => names.map((name) => part(`services/${name}`));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...Object.entries(MAY_USE).map(([from, allowed]) => ({
      name: `${from}-imports`,
      severity: 'error',
      from: { path: part(from) },
      to: { path: '^src/', pathNot: [from, ...allowed].map(part) },
    })),
    ...DOMAINS.map((names, index) => ({
      name: `services-${names[0]}-imports`,
      comment: 'A domain of src/services uses only the domains before it in DOMAINS.',
      severity: 'error',
      from: { path: domain(names) },
      to: { path: '^src/services/', pathNot: DOMAINS.slice(0, index + 1).flatMap(domain) },
    })),
    {
      name: 'context-imports-modules',
      comment: 'context.ts builds modules and knows nothing of what is in them.',
      severity: 'error',
      from: { path: '^src/context\\.ts$' },
      to: {
        path: '^src/services/',
        pathNot: '^src/services/([a-z-]+/module|kernel/lifecycle|writing/link-fetcher)\\.ts$',
      },
    },
    {
      name: 'services-in-a-domain',
      comment: 'Every file of src/services belongs to one of DOMAINS.',
      severity: 'error',
      from: {},
      to: { path: '^src/services/', pathNot: DOMAINS.flatMap(domain) },
    },
    {
      name: 'only-the-index-of-routes-takes-the-context',
      comment: 'Routes and socket handlers take the services that they use; routes/index.ts hands them over.',
      severity: 'error',
      from: { path: '^src/(routes/(?!index\\.ts$)|sockets/handlers/)' },
      to: { path: part('context') },
    },
    {
      name: 'routes-call-no-service',
      comment:
        'A route names the types of the services that its controller takes. Only controllers call services.',
      severity: 'error',
      from: { path: part('routes') },
      to: { path: part('services'), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'services-know-no-transport',
      severity: 'error',
      from: { path: '^src/(services|db|models)/' },
      to: { path: 'node_modules/(express|socket\\.io|engine\\.io|peer|ws)/' },
    },
    {
      name: 'services-publish-domain-events',
      comment: 'Only sockets (and the AsyncAPI document) know the events as clients send and receive them.',
      severity: 'error',
      from: { path: '^src/(services|db)/' },
      to: { path: '^src/models/kernel/(server|client)-events\\.model\\.ts$' },
    },
    {
      name: 'packages-stand-alone',
      comment: 'A package imports nothing of Parley; its tests and its benchmark may use tools.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^(src|bench|client|packages)/', pathNot: '^packages/$1/' },
    },
    {
      name: 'packages-by-their-entries',
      comment:
        'Nothing outside of a package reaches behind the entries in the `exports` of its package.json.',
      severity: 'error',
      from: { pathNot: '^packages/' },
      to: {
        path: '^packages/',
        pathNot: '^packages/embedded-store/(src|dist)/(index|command-line)\\.(ts|js)$',
      },
    },
    {
      name: 'embedded-store-only-through-mongodb-ts',
      comment: 'Only db/mongodb.ts starts the embedded store (and the script that serves it on a port).',
      severity: 'error',
      from: {
        path: '^(src|bench|client|tools)/',
        pathNot: '^src/(db/mongodb\\.ts$|scripts/embedded-db\\.ts$|__tests__/)',
      },
      to: { path: '^packages/embedded-store/' },
    },
    { name: 'no-cycles', severity: 'error', from: { path: '^(src|packages)/' }, to: { circular: true } },
    {
      name: 'no-undeclared-packages',
      severity: 'error',
      from: { path: '^(src|packages/[^/]+/src)/', pathNot: '/__tests__/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'unknown'], pathNot: '@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@parley/source', 'require', 'node', 'default'],
    },
  },
};
