import { hostname } from 'node:os';
import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import type { Collection } from '../storage/catalog';
import { Selection } from '../storage/selection';
import type { SelectionSpec } from '../storage/selection-spec';
import { readAggregate } from './aggregate-query';
import { Arguments } from './arguments';
import type { Command, CommandContext } from './command';
import { executionStatistics, planTree } from './explain-plan';
import { readFind, readHint } from './find';
import { VERSION } from './hello';
import { collectionName, findCollection } from './namespaces';
import { EMPTY, readAll, withSource } from './reading';
import { collationOf, statementSpec } from './writing';

const VERBOSITIES = ['queryPlanner', 'executionStats', 'allPlansExecution'];

/** https://www.mongodb.com/docs/manual/reference/command/explain/ */
export const explainCommand: Command = {
  async run(context) {
    const inner = context.args.requiredDocument('explain');
    const verbosity = context.args.string('verbosity') ?? 'allPlansExecution';
    if (!VERBOSITIES.includes(verbosity)) {
      throw new StoreError(
        'BadValue',
        "verbosity string must be one of {'queryPlanner', 'executionStats', 'allPlansExecution'}",
      );
    }
    const [name = ''] = inner.keys();
    return explain(context, new Arguments(inner, name), verbosity);
  },
};

/** What is to be explained: a selection, the stage around it, and what an aggregation does with it. */
interface Explained {
  spec: SelectionSpec;
  around?: string;
  stages?: readonly string[];
}

type Reader = (args: Arguments, collection: Collection | undefined) => Explained;

/** The parser of each command that can be explained. Writes are planned but not executed. */
const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['find', (args, collection) => ({ spec: readFind(args, collection).spec })],
  [
    'aggregate',
    (args, collection) => {
      const { spec, pipeline } = readAggregate({ args }, collection);
      return { spec, stages: pipeline.stages };
    },
  ],
  ['count', (args, collection) => ({ ...filtered(args, collection, 'query'), around: 'COUNT' })],
  ['distinct', (args, collection) => filtered(args, collection, 'query')],
  ['findAndModify', (args, collection) => ({ ...filtered(args, collection, 'query'), around: 'UPDATE' })],
  ['update', (args, collection) => ({ ...statement(args, collection, 'updates'), around: 'UPDATE' })],
  ['delete', (args, collection) => ({ ...statement(args, collection, 'deletes'), around: 'DELETE' })],
]);

function filtered(args: Arguments, collection: Collection | undefined, field: string): Explained {
  const collator = compileCollation(collationOf(collection, args.document('collation')));
  const spec = statementSpec(args.document(field) ?? EMPTY, collator, args.document('let'), readHint(args));
  return { spec };
}

function statement(args: Arguments, collection: Collection | undefined, field: string): Explained {
  const statements = args.documents(field) ?? [];
  if (statements.length !== 1 || !statements[0]) {
    throw new StoreError('InvalidLength', 'explained write batches must be of size 1');
  }
  return filtered(new Arguments(statements[0], `${args.name}.${field}`), collection, 'q');
}

/** Returns how the store would execute a command, or (with statistics) how it does. */
export async function explain(
  context: CommandContext,
  args: Arguments,
  verbosity: string,
): Promise<Document> {
  const { database } = context;
  const reader = READERS.get(args.name);
  if (!reader) {
    throw new StoreError('CommandNotFound', `Explain failed due to unknown command: ${args.name}`);
  }
  const name = collectionName({ ...context, args }, args.name);
  const collection = findCollection(context, name);
  const explained = reader(args, collection);
  const planner: Document = new Map<string, Value>([
    ['namespace', `${database}.${name}`],
    ['indexFilterSet', false],
    ['parsedQuery', explained.spec.filterDocument],
  ]);
  const result = await runExplained(context, collection, explained, planner, verbosity);
  const reply: Document = new Map<string, Value>([['explainVersion', '1']]);
  if (explained.stages?.length) {
    const rest = explained.stages.map((one): Document => new Map<string, Value>([[one, new Map()]]));
    reply.set('stages', [new Map<string, Value>([['$cursor', result]]), ...rest]);
  } else for (const [field, value] of result) reply.set(field, value);
  reply.set('command', args.command);
  reply.set('serverInfo', serverInfo());
  return reply;
}

async function runExplained(
  context: CommandContext,
  collection: Collection | undefined,
  { spec, around }: Explained,
  planner: Document,
  verbosity: string,
): Promise<Document> {
  const result: Document = new Map<string, Value>([['queryPlanner', planner]]);
  const wrap = (tree: Document): Document =>
    around === undefined
      ? tree
      : new Map<string, Value>([
          ['stage', around],
          ['inputStage', tree],
        ]);
  if (!collection) {
    planner.set('winningPlan', wrap(new Map([['stage', 'EOF']]))).set('rejectedPlans', []);
    return result;
  }
  await withSource(context, async (source) => {
    const selection = new Selection(context.engine, collection, spec, source);
    const tree = wrap(planTree(selection));
    planner.set('winningPlan', tree).set('rejectedPlans', []);
    if (verbosity === 'queryPlanner') return;
    const begun = performance.now();
    let returned = 0;
    await readAll(selection, context.operation, () => void returned++);
    const milliseconds = performance.now() - begun;
    const { statistics } = selection.scan;
    result.set('executionStats', executionStatistics(tree, { returned, milliseconds, statistics }));
  });
  return result;
}

function serverInfo(): Document {
  return new Map<string, Value>([
    ['host', hostname()],
    ['port', new Int32(0)],
    ['version', VERSION],
    ['gitVersion', 'parley-embedded-store'],
  ]);
}
