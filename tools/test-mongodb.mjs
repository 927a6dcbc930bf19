// Runs the tests, except those of the embedded store itself, against a real MongoDB: the server in TEST_MONGODB_URI, or
// a replica set that mongodb-memory-server downloads and starts.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const require = createRequire(import.meta.url);

let replicaSet;
let uri = process.env.TEST_MONGODB_URI;
if (!uri) {
  const { MongoMemoryReplSet } = require('mongodb-memory-server-core');
  replicaSet = await MongoMemoryReplSet.create({ replSet: { count: 1, storageEngine: 'wiredTiger' } });
  uri = replicaSet.getUri();
}
const result = spawnSync(
  process.execPath,
  [
    require.resolve('jest/bin/jest'),
    '--testPathIgnorePatterns',
    '__tests__/(db|process)/|packages/embedded-store/',
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, TEST_MONGODB_URI: uri } },
);
await replicaSet?.stop();
process.exit(result.status ?? 1);
