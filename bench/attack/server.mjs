// The attacked server: the build in `dist`, with link previews of pages on this machine enabled, which production
// refuses to fetch. Its settings are in the environment.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const dist = process.argv[2];
const load = createRequire(join(dist, 'server.js'));
const { startServer } = load('./start-server.js');
const { loadConfig } = load('./config/env.config.js');
const { createContext } = load('./context.js');

const linkPolicy = {
  allowsAddress: (address) => address.startsWith('127.'),
  allowsPort: () => true,
  resolve: () => Promise.resolve(['127.0.0.1']),
};
const context = await createContext(loadConfig(), { linkPolicy });
const server = await startServer(context);
process.send(server.url);
