import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EJSON, type Document, type Long } from 'bson';
import { MongoClient, MongoServerError } from 'mongodb';
import { startEmbeddedStore } from '../src';
import { DIFFERENCES } from './golden/differences';

/**
 * 300 cases with what a MongoDB 4.1.5 answered (golden/README.md). Each begins on an empty database and runs
 * raw commands through the driver; answers are compared without what changes from run to run, and errors
 * by their code.
 */
interface GoldenCase {
  area: string;
  name: string;
  docs: Document[];
  indexes: Document[];
  steps: Document[];
}

const fixture = (name: string) => readFileSync(path.join(__dirname, 'golden', name), 'utf8');
const cases = EJSON.parse(fixture('cases.json'), { relaxed: false }) as GoldenCase[];
const { answers } = EJSON.parse(fixture('answers.json'), { relaxed: false }) as {
  answers: Record<string, unknown[]>;
};

const VOLATILE = new Set([
  ...['$clusterTime', 'operationTime', 'electionId', 'opTime', 'localTime', 'ok', 'errmsg'],
  ...['lastCommittedOpTime', 'writeConcernError', 'numIndexesBefore', 'createdCollectionAutomatically'],
  ...['note', 'commitQuorum', 'v', 'info', 'idIndex', 'uuid', 'partialResultsReturned', 'nIndexesWas'],
  ...['errInfo', 'keyPattern', 'keyValue', 'ns'],
]);

/** An answer without what differs from one run, or one version of the server, to the next. */
function normal(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(normal);
  if (typeof answer !== 'object' || answer === null || '_bsontype' in answer) return answer;
  if (answer instanceof Date || answer instanceof RegExp) return answer;
  const isCursor = 'ns' in answer;
  return Object.fromEntries(
    Object.entries(answer)
      .filter(([name]) => !VOLATILE.has(name))
      .map(([name, value]) =>
        name === 'id' && isCursor ? [name, Number(value) === 0 ? 'closed' : 'open'] : [name, normal(value)],
      ),
  );
}

/** As text, because the order of fields counts. */
const text = (value: unknown) => EJSON.stringify(value, undefined, 1, { relaxed: false });

describe('the answers of a real MongoDB', () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'parley-golden-'));
  let store: Awaited<ReturnType<typeof startEmbeddedStore>>;
  let client: MongoClient;

  beforeAll(async () => {
    store = await startEmbeddedStore({ dataDir });
    client = await new MongoClient(store.uri, { retryWrites: false }).connect();
  });
  afterAll(async () => {
    await client?.close();
    await store?.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function answersTo({ docs, indexes, steps }: GoldenCase, database: string): Promise<unknown[]> {
    const db = client.db(database);
    let cursor: unknown;
    const run = async (command: Document): Promise<unknown> => {
      const filled = Object.fromEntries(
        Object.entries(command).map(([name, value]) => {
          if (value === '$cursor') return [name, cursor];
          return [name, Array.isArray(value) && value[0] === '$cursor' ? [cursor] : value];
        }),
      );
      try {
        const reply = await db.command(filled);
        const id = reply.cursor?.id as Long | number | undefined;
        if (id !== undefined && Number(id) !== 0) cursor = id;
        return normal(reply);
      } catch (error) {
        if (error instanceof MongoServerError) return { error: { code: Number(error.code) } };
        throw error;
      }
    };
    if (indexes.length > 0) {
      const named = indexes.map((index, i) => ({ name: `i${i}`, ...index }));
      await run({ createIndexes: 'c', indexes: named });
    }
    if (docs.length > 0) await run({ insert: 'c', documents: docs });
    const result: unknown[] = [];
    for (const step of steps) result.push(await run(step));
    await db.dropDatabase();
    return result;
  }

  test.each(cases.map((golden, i) => [`${golden.area}: ${golden.name}`, golden, i] as const))(
    '%s',
    async (name, golden, i) => {
      const expected = DIFFERENCES[name]?.answers ?? answers[name];
      expect(text(await answersTo(golden, `golden_${i}`))).toBe(text(expected));
    },
  );

  test('each listed difference belongs to a case', () => {
    const names = new Set(cases.map(({ area, name }) => `${area}: ${name}`));
    expect(Object.keys(DIFFERENCES).filter((name) => !names.has(name))).toEqual([]);
  });
});
