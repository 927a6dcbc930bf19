import { Int32, Long } from 'bson';
import { decode, encode } from '../bson/codec';
import { integral } from '../bson/numbers';
import { Reader } from '../bson/reader';
import { TYPE } from '../bson/type-codes';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { WriteSteps } from '../storage/writer';
import { Arguments } from './arguments';
import type { Command, CommandContext, Reply } from './command';
import { deleteDocuments, type DeleteRequest } from './delete';
import { DocumentBatches } from './document-cursor';
import { readHint } from './find';
import { checkCollectionName, checkDatabaseName, type Namespace } from './namespaces';
import { runWrite } from './run-write';
import { errorFields, runStatements } from './statements';
import { readUpdate, updateDocuments, type UpdateRequest } from './update';
import { BulkProgress, type WriteScope } from './write-scope';
import { checkBatchSize, ensureCollection, insertOne } from './writing';

const FIELDS = new Set(
  'bulkWrite ops nsInfo cursor bypassDocumentValidation ordered let errorsOnly'.split(' '),
);
const NAMESPACE_FIELDS = new Set(['ns']);
const CURSOR_FIELDS = new Set(['batchSize']);
const UPDATE_FIELDS = new Set(
  'update filter updateMods multi upsert arrayFilters hint constants collation sort'.split(' '),
);
const DELETE_FIELDS = new Set('delete filter multi hint collation'.split(' '));

/** The namespace of the cursor over the results. */
const CURSOR_NAMESPACE = 'admin.$cmd.bulkWrite';
/** The most bytes of results in one reply, and of one command altogether. */
const MAX_ITEM_BYTES = 16 * 1024 * 1024;
/** About how many bytes an item has beside an error or an inserted `_id`. */
const ITEM_BYTES = 50;

/** One operation, and the position of its namespace. */
type Operation = { namespace: number } & (
  | { kind: 'insert'; document: Uint8Array }
  | { kind: 'update'; request: UpdateRequest }
  | { kind: 'delete'; request: DeleteRequest }
);

/** Writes to several collections. https://www.mongodb.com/docs/manual/reference/command/bulkWrite/ */
export const bulkWriteCommand: Command = {
  inTransaction: true,
  adminOnly: true,
  async run(context) {
    const { args } = context;
    args.allow(FIELDS);
    const batchSize = readBatchSize(args);
    const errorsOnly = args.boolean('errorsOnly');
    const namespaces = readNamespaces(context);
    const operations = readOperations(context, namespaces.length);
    const inserting = new Set(operations.filter(mayInsert).map(({ namespace }) => namespace));
    const created = namespaces.filter((_, index) => inserting.has(index));
    const reply = await runWrite(context, created, function* (scope) {
      const progress = (scope.progress.bulk ??= new BulkProgress());
      const add = (ok: 0 | 1, index: number, fields: [string, Value][], bytes = 0) => {
        if (ok === 1 && errorsOnly) return;
        progress.itemBytes += ITEM_BYTES + bytes;
        progress.items.push(
          new Map<string, Value>([['ok', new Int32(ok)], ['idx', new Int32(index)], ...fields]),
        );
      };
      yield* runStatements(
        scope,
        context,
        operations,
        function* (operation, index) {
          checkItemBytes(progress);
          const namespace = namespaces[operation.namespace] as Namespace;
          add(1, index, yield* runOperation(scope, context, namespace, operation));
        },
        (error, index) => {
          progress.counts.nErrors++;
          const isUpdate = operations[index]?.kind === 'update';
          const none: [string, Value][] = [['n', new Int32(0)]];
          if (isUpdate) none.push(['nModified', new Int32(0)]);
          add(0, index, [...errorFields(error), ...none], error.message.length);
        },
      );
      return replyOf(progress);
    });
    return batchSize === undefined ? reply : splitReply(context, reply, batchSize);
  },
};

function readBatchSize(args: Arguments): number | undefined {
  const cursor = args.document('cursor');
  if (!cursor) return undefined;
  const options = new Arguments(cursor, 'bulkWrite.cursor');
  options.allow(CURSOR_FIELDS);
  return options.integer('batchSize', 0);
}

function readNamespaces(context: CommandContext): Namespace[] {
  const { args, sequences } = context;
  const entries = sequences.get('nsInfo')?.map(decode) ?? args.documents('nsInfo');
  if (!entries) throw missing('bulkWrite.nsInfo');
  return entries.map((entry) => {
    const fields = new Arguments(entry, 'bulkWrite.nsInfo');
    fields.allow(NAMESPACE_FIELDS);
    const text = fields.requiredString('ns');
    const dot = text.indexOf('.');
    const database = dot < 0 ? text : text.slice(0, dot);
    const name = dot < 0 ? '' : text.slice(dot + 1);
    checkDatabaseName(database);
    checkCollectionName(database, name);
    return { database, name };
  });
}

function readOperations(context: CommandContext, namespaces: number): Operation[] {
  const { args, sequences } = context;
  const documents = sequences.get('ops') ?? args.documents('ops')?.map(encode);
  if (!documents) throw missing('bulkWrite.ops');
  checkBatchSize(documents.length);
  const variables = args.document('let');
  return documents.map((bytes, index) => {
    const operation = readOperation(bytes, variables);
    if (operation.namespace >= namespaces) {
      throw new StoreError('BadValue', `BulkWrite ops entry ${index} has an invalid nsInfo index.`);
    }
    return operation;
  });
}

/** Reads an operation. Its first field says what it does. */
function readOperation(bytes: Uint8Array, variables: Document | undefined): Operation {
  // Its name follows the length of the document and the type of the field.
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = buffer.toString('latin1', 5, buffer.indexOf(0, 5));
  if (kind === 'insert') return readInsert(bytes);
  if (kind === 'update') return readUpdateOperation(decode(bytes), variables);
  if (kind === 'delete') return readDelete(decode(bytes), variables);
  throw unknown(`bulkWrite.ops.${kind}`);
}

/** Reads an insert without decoding its document. */
function readInsert(bytes: Uint8Array): Operation {
  const reader = new Reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  let namespace: Value | undefined;
  let document: Uint8Array | undefined;
  const end = reader.enter(bytes.length);
  for (let type = reader.type(end); type !== 0; type = reader.type(end)) {
    const name = reader.name(end);
    const start = reader.position;
    if (name === 'insert') namespace = reader.value(type, end);
    else if (name === 'document' && type === TYPE.object) {
      reader.skip(type, end);
      document = bytes.subarray(start, reader.position);
    } else if (name === 'document') {
      throw new StoreError('TypeMismatch', "BSON field 'bulkWrite.ops.document' is not of type 'object'");
    } else throw unknown(`bulkWrite.ops.${name}`);
  }
  if (!document) throw missing('bulkWrite.ops.document');
  return { kind: 'insert', namespace: readIndex(namespace), document };
}

function readUpdateOperation(document: Document, variables: Document | undefined): Operation {
  const fields = new Arguments(document, 'bulkWrite.ops');
  fields.allow(UPDATE_FIELDS);
  const request: UpdateRequest = {
    filter: fields.requiredDocument('filter'),
    mods: readUpdate(fields, 'updateMods'),
    multi: fields.boolean('multi'),
    upsert: fields.boolean('upsert'),
    arrayFilters: fields.array('arrayFilters'),
    collation: fields.document('collation'),
    hint: readHint(fields),
    sort: fields.document('sort'),
    variables,
    constants: fields.document('constants'),
  };
  return { kind: 'update', namespace: readIndex(document.get('update')), request };
}

function readDelete(document: Document, variables: Document | undefined): Operation {
  const fields = new Arguments(document, 'bulkWrite.ops');
  fields.allow(DELETE_FIELDS);
  const request: DeleteRequest = {
    filter: fields.requiredDocument('filter'),
    multi: fields.boolean('multi'),
    collation: fields.document('collation'),
    hint: readHint(fields),
    variables,
  };
  return { kind: 'delete', namespace: readIndex(document.get('delete')), request };
}

function readIndex(value: Value | undefined): number {
  const index = integral(value);
  if (index === undefined) {
    throw new StoreError(
      'TypeMismatch',
      "The index into 'nsInfo' of a BulkWrite ops entry must be a whole number.",
    );
  }
  if (index < 0) throw new StoreError(51024, `BSON field value must be >= 0, actual value '${index}'`);
  return Number(index);
}

const missing = (field: string) =>
  new StoreError(40414, `BSON field '${field}' is missing but a required field`);
const unknown = (field: string) => new StoreError(40415, `BSON field '${field}' is an unknown field.`);

const mayInsert = (operation: Operation) =>
  operation.kind === 'insert' || (operation.kind === 'update' && operation.request.upsert);

/** Runs one operation, adds to the counts, and returns the fields of its result. */
function* runOperation(
  scope: WriteScope,
  context: CommandContext,
  namespace: Namespace,
  operation: Operation,
): WriteSteps<[string, Value][]> {
  const { counts } = scope.progress.bulk as BulkProgress;
  if (operation.kind === 'insert') {
    const { database, name } = namespace;
    yield* insertOne(scope, ensureCollection(scope, database, name), operation.document);
    counts.nInserted++;
    return [['n', new Int32(1)]];
  }
  if (operation.request.multi && context.txnNumber !== undefined) {
    throw new StoreError('InvalidOptions', 'Cannot use retryable writes with multi=true');
  }
  if (operation.kind === 'delete') {
    const deleted = yield* deleteDocuments(scope, namespace, operation.request);
    counts.nDeleted += deleted;
    return [['n', new Int32(deleted)]];
  }
  const { matched, modified, upsertedId } = yield* updateDocuments(scope, namespace, operation.request);
  counts.nMatched += matched;
  counts.nModified += modified;
  const fields: [string, Value][] = [
    ['n', new Int32(upsertedId === undefined ? matched : 1)],
    ['nModified', new Int32(modified)],
  ];
  if (upsertedId === undefined) return fields;
  counts.nUpserted++;
  return [...fields, ['upserted', new Map([['_id', upsertedId]])]];
}

/** Refuses to continue when the results have become too large for one reply. */
function checkItemBytes({ itemBytes }: BulkProgress): void {
  if (itemBytes < MAX_ITEM_BYTES) return;
  throw new StoreError(
    'ExceededMemoryLimit',
    `BulkWrite response size exceeded limit (${MAX_ITEM_BYTES} bytes)`,
  );
}

function replyOf(progress: BulkProgress): Document {
  return new Map<string, Value>([['cursor', cursorOf(Long.ZERO, progress.items)], ...progress.countFields()]);
}

function cursorOf(id: Long, items: Document[]): Document {
  return new Map<string, Value>([
    ['id', id],
    ['firstBatch', items],
    ['ns', CURSOR_NAMESPACE],
  ]);
}

/** Leaves the first results in the reply, and opens a cursor over the others. */
function splitReply(context: CommandContext, reply: Reply, batchSize: number): Reply {
  const document = reply instanceof Map ? reply : decode(reply);
  const items = (document.get('cursor') as Document).get('firstBatch') as Document[];
  if (items.length <= batchSize) return reply;
  const id = context.engine.cursors.add({
    namespace: CURSOR_NAMESPACE,
    source: new DocumentBatches(items.slice(batchSize).map(encode)),
    owner: context.session?.id,
    keepForever: false,
  });
  return document.set('cursor', cursorOf(Long.fromBigInt(id), items.slice(0, batchSize)));
}
