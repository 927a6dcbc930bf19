import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { SETTING_NAMES } from '../src/config/env.config';
import type { JsonObject } from './schema-diff';

const ROOT = join(__dirname, '..');

/** Variables of tests and tools, and names that look like settings but are not. */
const OTHER_NAMES = new Set([
  'TEST_MONGODB_URI',
  'UV_THREADPOOL_SIZE',
  'CONVERGENCE_SECONDS',
  'FUZZ_SECONDS',
  'FUZZ_SEED',
  'CRASH_ROUNDS',
]);

/** The names that a page may refer to. */
export interface Named {
  events: ReadonlySet<string>;
  /** Such as `GET /api/users/{}`, without the names of parameters. */
  routes: ReadonlySet<string>;
  scripts: ReadonlySet<string>;
}

/** Collects the names that pages may refer to from the API documents and package.json. */
export function namedThings(openapi: JsonObject, asyncapi: JsonObject, manifest: JsonObject): Named {
  const { paths } = openapi as { paths: Record<string, object> };
  const { channels } = asyncapi as unknown as {
    channels: { socket: { messages: Record<string, { name: string }> } };
  };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, '{}')}`),
  );
  return {
    events: new Set(Object.values(channels.socket.messages).map(({ name }) => name)),
    routes: new Set(routes),
    scripts: new Set(Object.keys((manifest as { scripts: object }).scripts)),
  };
}

/**
 * Finds references of a page to events, routes, settings, npm scripts, tests, pages and headings that do not exist.
 * @returns a message for each, with the path of the page.
 */
export function brokenReferences(page: string, named: Named): string[] {
  const text = readFileSync(page, 'utf8');
  const wrong: string[] = [];
  const check = (pattern: RegExp, problem: (...groups: string[]) => string | undefined) => {
    for (const [, ...groups] of text.matchAll(pattern)) {
      const found = problem(...groups);
      if (found !== undefined) wrong.push(`${relative(ROOT, page)}: ${found}`);
    }
  };
  const domains = new Set([...named.events].map((event) => event.split(':')[0]!));

  check(/`([a-z_]+):([a-z_]+)\b/g, (domain = '', verb = '') =>
    domains.has(domain) && !named.events.has(`${domain}:${verb}`)
      ? `there is no event ${domain}:${verb}`
      : undefined,
  );
  check(/\b(GET|POST|PUT|PATCH|DELETE) (\/(?:api|health)\/[\w\-/:{}]*[\w}])/g, (method, path = '') => {
    const route = `${method} ${path.replaceAll(/:\w+|\{\w+\}/g, '{}')}`;
    return named.routes.has(route) ? undefined : `there is no route ${method} ${path}`;
  });
  check(/(?:`|^ *|&& )npm (?:run )?([a-z][a-z:-]*)/gm, (name = '') =>
    named.scripts.has(name) || ['ci', 'install', 'prune', 'audit', 'run', 'outdated'].includes(name)
      ? undefined
      : `there is no script ${name} in package.json`,
  );
  check(/`([A-Z]{2,}(?:_[A-Z]+)+)/g, (name = '') =>
    SETTING_NAMES.includes(name) || OTHER_NAMES.has(name) || name.startsWith('OTEL_')
      ? undefined
      : `there is no setting ${name}`,
  );
  check(/`__tests__\/([\w/-]+)`/g, (path = '') =>
    [path, `${path}.test.ts`].some((file) => existsSync(join(ROOT, 'src', '__tests__', file)))
      ? undefined
      : `there is no test ${path}`,
  );
  const folders = 'config|controllers|db|middleware|models|routes|scripts|services|sockets|utils';
  check(new RegExp(`\`((?:${folders})/[\\w./-]+\\.ts)\``, 'g'), (path = '') =>
    existsSync(join(ROOT, 'src', path)) ? undefined : `there is no file src/${path}`,
  );
  return [...wrong, ...brokenLinks(page)];
}

/** Finds the links of a page to files and headings that do not exist. @returns a message for each. */
export function brokenLinks(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = '']) => {
    const problem = brokenLink(page, text, target);
    return problem === undefined ? [] : [`${relative(ROOT, page)}: ${problem}`];
  });
}

/** Returns the npm scripts that no page mentions, except those that npm runs before others (`pre…`). */
export function undescribedScripts(pages: readonly string[], { scripts }: Named): string[] {
  const text = pages.map((page) => readFileSync(page, 'utf8')).join('\n');
  return [...scripts].filter(
    (name) =>
      !name.startsWith('pre') &&
      !text.includes(`\`${name}`) &&
      !new RegExp(`npm (run )?${name}\\b`).test(text),
  );
}

function brokenLink(page: string, text: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : join(dirname(page), path);
  if (!existsSync(file)) return `there is no page ${target}`;
  if (anchor === undefined) return undefined;
  const headings = (path === '' ? text : readFileSync(file, 'utf8')).matchAll(/^#+ (.+)$/gm);
  const anchors = [...headings].map(([, heading = '']) => anchorOf(heading));
  return anchors.includes(anchor) ? undefined : `there is no heading ${target}`;
}

/** Returns the anchor that GitHub generates for a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}
