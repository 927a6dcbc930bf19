import type { Profiler } from 'node:inspector';

/** What code does, by the path of its file below `node_modules`, `dist` or `packages`. The first match counts. */
type Areas = readonly (readonly [area: string, path: RegExp])[];

export const MAIN_AREAS: Areas = [
  ['write frames to sockets', /^dist\/sockets\/frame-transport/],
  ['find recipients, encode events', /^dist\/sockets\/(broadcast|encoded-event)/],
  ['Socket.IO, Engine.IO and ws', /^(ws|engine\.io|socket\.io|@socket\.io|debug)/],
  [
    'handle events: limits, session, presence, timings',
    /^dist\/(sockets|services\/(identity|presence|operations))|^(lru-cache|prom-client)/,
  ],
  ['validate payloads', /^zod|^dist\/utils\/(validation|issue)/],
  ['search fields', /^dist\/(services\/search|utils\/words)/],
  [
    'prepare sends: access, mentions, content',
    /^dist\/services\/(access|channels|files|groups|messages\/(send-|message-composer|mention|slow))/,
  ],
  [
    'publish: event bus and its listeners',
    /^dist\/services\/(kernel\/event-bus|messages\/message-publisher|writing|notifications|calls)/,
  ],
  ['queue and commit batches', /^dist\/(services|db|models|utils)/],
  ['database driver and BSON', /^(mongodb|bson)/],
  ['the benchmark server', /^bench/],
];

export const STORE_AREAS: Areas = [
  ['LMDB', /^(lmdb|msgpackr|ordered-binary)/],
  ['text indexes', /text|token/],
  ['BSON', /^bson/],
  ['store', /^packages/],
];

const OTHERS = 'Node.js: promises, callbacks, timers';
const COLLECTOR = 'garbage collection';

/**
 * Divides the busy time of a profile by what the code does. A function counts for the area of its file, and one of Node.js
 * for the area of the nearest function below it in the stack.
 * @returns the share of each area, which add up to 1, and the functions that took most of the time themselves.
 */
export function sharesOf(
  { nodes, samples = [], timeDeltas = [] }: Profiler.Profile,
  areas: Areas,
): { areas: Map<string, number>; functions: [string, number][] } {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callerOf = new Map<number, Profiler.ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) callerOf.set(child, node);

  const areaOf = (node: Profiler.ProfileNode | undefined): string | undefined => {
    if (!node) return OTHERS;
    const { functionName, url } = node.callFrame;
    if (functionName === '(idle)' || url.endsWith('report-profiles.mjs')) return undefined;
    if (functionName === '(garbage collector)') return COLLECTOR;
    const path = pathOf(url);
    const area = path === undefined ? undefined : areas.find(([, pattern]) => pattern.test(path))?.[0];
    return area ?? areaOf(callerOf.get(node.id));
  };

  const totals = new Map<string, number>();
  const functions = new Map<string, number>();
  let busy = 0;
  const cached = new Map<number, string | undefined>();
  for (const [index, id] of samples.entries()) {
    const node = byId.get(id);
    if (!cached.has(id)) cached.set(id, areaOf(node));
    const area = cached.get(id);
    if (area === undefined || !node) continue;
    const spent = timeDeltas[index] ?? 0;
    busy += spent;
    totals.set(area, (totals.get(area) ?? 0) + spent);
    const { functionName, url } = node.callFrame;
    const name = `${functionName || '(anonymous)'} ${pathOf(url) ?? ''}`.trim();
    functions.set(name, (functions.get(name) ?? 0) + spent);
  }
  const shares = (map: Map<string, number>) =>
    [...map]
      .map(([name, spent]): [string, number] => [name, spent / busy])
      .sort(([, one], [, other]) => other - one);
  return { areas: new Map(shares(totals)), functions: shares(functions) };
}

/** Returns the path of a file of the project or of a package; undefined for Node.js itself. */
function pathOf(url: string): string | undefined {
  const [, path] = /.*\/node_modules\/(.*)/.exec(url) ?? /.*\/((?:packages|dist|bench)\/.*)/.exec(url) ?? [];
  const inPackage = /\/(packages\/.*)/.exec(url)?.[1];
  return inPackage ?? path;
}
