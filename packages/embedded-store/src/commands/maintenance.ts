import { Int32, Long } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collection, IndexState } from '../storage/catalog';
import { namespaceOf } from '../storage/catalog';
import { validateCollection } from '../storage/validation';
import type { WriteSteps } from '../storage/writer';
import { Arguments, numberOf } from './arguments';
import { checkValidation, existing, namespaceNotFound } from './collections';
import type { Command } from './command';
import { collectionName } from './namespaces';
import { TimeSlice } from './reading';
import { whole } from './statistics';

/** https://www.mongodb.com/docs/manual/reference/command/validate/ */
export const validateCommand: Command = {
  async run(context) {
    const { engine, operation } = context;
    const name = collectionName(context, 'validate');
    const timeSlice = new TimeSlice(operation);
    const snapshot = engine.environment.latest();
    try {
      const collection = engine.catalog.find(context.database, name);
      if (!collection) throw namespaceNotFound(`${context.database}.${name}`);
      // The counters are read together with the snapshot, before another write.
      const frozen = { ...collection, indexes: [...collection.indexes] };
      const steps = validateCollection(engine.environment, frozen, snapshot);
      for (;;) {
        const step = steps.next();
        if (step.done) {
          await engine.environment.flush();
          return validationReply(frozen, step.value);
        }
        if (timeSlice.isOver) await timeSlice.next();
      }
    } finally {
      snapshot.release();
    }
  },
};

function validationReply(
  collection: Collection,
  result: ReturnType<typeof validateCollection> extends Generator<undefined, infer R> ? R : never,
): Document {
  const valid = result.errors.length === 0;
  return new Map<string, Value>([
    ['ns', namespaceOf(collection)],
    ['uuid', collection.uuid],
    ['nInvalidDocuments', Long.fromNumber(result.invalidDocuments)],
    ['nNonCompliantDocuments', Long.fromNumber(0)],
    ['nrecords', Long.fromNumber(result.records)],
    ['nIndexes', new Int32(collection.indexes.length)],
    [
      'keysPerIndex',
      new Map<string, Value>([...result.keysPerIndex].map(([index, keys]) => [index, whole(keys)])),
    ],
    ['valid', valid],
    ['repaired', false],
    ['warnings', []],
    ['errors', result.errors],
    ['extraIndexEntries', []],
    ['missingIndexEntries', []],
    ['corruptRecords', []],
  ]);
}

const COLL_MOD_FIELDS = new Set(['collMod', 'index', 'validator', 'validationLevel', 'validationAction']);

/** https://www.mongodb.com/docs/manual/reference/command/collMod/ */
export const collModCommand: Command = {
  async run(context) {
    const { args, engine } = context;
    args.allow(COLL_MOD_FIELDS);
    const name = collectionName(context, 'collMod');
    const changes: Document = new Map();
    for (const field of ['validator', 'validationLevel', 'validationAction']) {
      const value = args.any(field);
      if (value !== undefined) changes.set(field, value);
    }
    checkValidation(changes);
    const index = args.document('index');
    return engine.writer.submit(function* (): WriteSteps<Document> {
      yield* [];
      const collection = existing(context, name);
      const reply = index ? modifyIndex(collection, new Arguments(index, 'collMod.index')) : new Map();
      for (const [field, value] of changes) collection.options.set(field, value);
      engine.catalog.save(collection);
      return reply;
    });
  },
};

function modifyIndex(collection: Collection, args: Arguments): Document {
  const index = findIndex(collection, args);
  const seconds = args.any('expireAfterSeconds');
  const number = numberOf(seconds);
  if (seconds === undefined || number === undefined) {
    throw new StoreError('InvalidOptions', 'no expireAfterSeconds field');
  }
  if (number < 0) throw new StoreError('InvalidOptions', 'expireAfterSeconds must not be negative');
  const before = index.spec.get('expireAfterSeconds');
  index.spec.set('expireAfterSeconds', seconds);
  index.compiled.definition.expireAfterSeconds = number;
  const reply: Document = new Map();
  if (before !== undefined) reply.set('expireAfterSeconds_old', before);
  return reply.set('expireAfterSeconds_new', Long.fromNumber(number));
}

function findIndex(collection: Collection, args: Arguments): IndexState {
  const name = args.string('name');
  const pattern = args.document('keyPattern');
  const asText = (key: Document) => JSON.stringify([...key].map(([field, order]) => [field, Number(order)]));
  const found = collection.indexes.find(({ spec }) =>
    pattern ? asText(spec.get('key') as Document) === asText(pattern) : spec.get('name') === name,
  );
  if (found) return found;
  throw new StoreError(
    'IndexNotFound',
    `cannot find index ${name ?? 'by key'} for ns ${namespaceOf(collection)}`,
  );
}
