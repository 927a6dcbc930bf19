import {
  isObject,
  objectAt,
  resolve,
  SchemaDiff,
  type Change,
  type Json,
  type JsonObject,
} from './schema-diff';

/** Returns the differences between two versions of an OpenAPI document, from the view of clients. */
export function diffOpenApi(before: JsonObject, after: JsonObject): Change[] {
  const diff = new SchemaDiff(before, after);
  const [old, now] = [operationsOf(before), operationsOf(after)];
  for (const [name, operation] of old) {
    const other = now.get(name);
    if (other) compareOperations(diff, name, operation, other);
    else diff.record(true, name, 'was removed');
  }
  for (const name of now.keys()) if (!old.has(name)) diff.record(false, name, 'was added');
  return diff.changes;
}

function operationsOf(document: JsonObject): Map<string, JsonObject> {
  const found = new Map<string, JsonObject>();
  for (const [path, methods] of Object.entries(objectAt(document, 'paths'))) {
    for (const [method, operation] of Object.entries(isObject(methods) ? methods : {})) {
      if (isObject(operation)) found.set(`${method.toUpperCase()} ${path}`, operation);
    }
  }
  return found;
}

function compareOperations(diff: SchemaDiff, name: string, old: JsonObject, now: JsonObject): void {
  if (old['operationId'] !== now['operationId']) {
    diff.record(true, name, `operationId is ${text(now['operationId'])}, not ${text(old['operationId'])}`);
  }
  const [wasOpen, isOpen] = [old, now].map((operation) => isEmpty(operation['security']));
  if (wasOpen !== isOpen)
    diff.record(isOpen === false, name, isOpen ? 'requires no token' : 'requires a token');
  compareParameters(diff, name, parametersOf(old), parametersOf(now));
  compareBodies(diff, name, objectAt(old, 'requestBody'), objectAt(now, 'requestBody'));
  compareResponses(diff, name, objectAt(old, 'responses'), objectAt(now, 'responses'));
}

function parametersOf(operation: JsonObject): Map<string, JsonObject> {
  const { parameters } = operation;
  const list = Array.isArray(parameters) ? parameters.filter(isObject) : [];
  return new Map(list.map((each) => [`${text(each['in'])} ${text(each['name'])}`, each]));
}

function compareParameters(
  diff: SchemaDiff,
  name: string,
  old: Map<string, JsonObject>,
  now: Map<string, JsonObject>,
): void {
  for (const [key, parameter] of old) {
    const other = now.get(key);
    const at = `${name} ${key}`;
    // The server refuses unknown query parameters, but ignores unknown headers.
    if (!other) diff.record(!key.startsWith('header'), at, 'was removed');
    else {
      diff.compare(at, 'input', parameter['schema'], other['schema']);
      const [was, is] = [parameter['required'] === true, other['required'] === true];
      if (was !== is) diff.record(is, at, is ? 'is required' : 'may be left out');
    }
  }
  for (const [key, parameter] of now) {
    if (old.has(key)) continue;
    const required = parameter['required'] === true;
    diff.record(required, `${name} ${key}`, `was added${required ? ' and is required' : ''}`);
  }
}

function compareBodies(diff: SchemaDiff, name: string, old: JsonObject, now: JsonObject): void {
  const [before, after] = [objectAt(old, 'content'), objectAt(now, 'content')];
  for (const [type, content] of Object.entries(before)) {
    if (type in after) compareContent(diff, `${name} body`, 'input', content, after[type]);
    else diff.record(true, `${name} body`, `is no longer ${type}`);
  }
  for (const type of Object.keys(after)) {
    if (type in before) continue;
    const first = Object.keys(before).length === 0;
    diff.record(first && now['required'] === true, `${name} body`, `${first ? 'is' : 'may also be'} ${type}`);
  }
}

function compareResponses(diff: SchemaDiff, name: string, old: JsonObject, now: JsonObject): void {
  for (const [status, response] of Object.entries(old)) {
    const at = `${name} ${status}`;
    if (!(status in now)) {
      diff.record(true, at, 'is no longer answered');
      continue;
    }
    const [before, after] = [response, now[status]].map((each) =>
      objectAt(isObject(each) ? each : {}, 'content'),
    );
    for (const [type, content] of Object.entries(before!)) {
      if (type in after!) compareContent(diff, at, 'output', content, after![type]);
      else diff.record(true, at, `is no longer ${type}`);
    }
    for (const type of Object.keys(after!))
      if (!(type in before!)) diff.record(false, at, `may also be ${type}`);
  }
  for (const status of Object.keys(now)) {
    if (!(status in old)) diff.record(/^[23]/.test(status), `${name} ${status}`, 'may be answered');
  }
}

function compareContent(
  diff: SchemaDiff,
  at: string,
  direction: 'input' | 'output',
  before: Json | undefined,
  after: Json | undefined,
): void {
  const [old, now] = [before, after].map((each) => (isObject(each) ? each['schema'] : undefined));
  if (old !== undefined || now !== undefined) diff.compare(at, direction, old, now);
}

const text = (value: Json | undefined): string => (typeof value === 'string' ? value : JSON.stringify(value));
const isEmpty = (value: Json | undefined): boolean => !Array.isArray(value) || value.length === 0;

/** Returns the differences between two versions of an AsyncAPI document, whose operations describe the server. */
export function diffAsyncApi(before: JsonObject, after: JsonObject): Change[] {
  const diff = new SchemaDiff(before, after);
  const [old, now] = [before, after].map(messagesOf) as [Map<string, JsonObject>, Map<string, JsonObject>];
  const fromClients = receivedBy(before);
  for (const [name, message] of old) {
    const other = now.get(name);
    const direction = fromClients.has(name) ? 'input' : 'output';
    if (other) diff.compare(name, direction, message['payload'], other['payload']);
    else diff.record(true, name, 'was removed');
  }
  for (const name of now.keys()) if (!old.has(name)) diff.record(false, name, 'was added');
  return diff.changes;
}

function messagesOf(document: JsonObject): Map<string, JsonObject> {
  const { messages } = resolve(document, { $ref: '#/channels/socket' });
  const found = Object.entries(isObject(messages) ? messages : {});
  return new Map(found.filter((entry): entry is [string, JsonObject] => isObject(entry[1])));
}

/** Returns the names of the messages that clients send. */
function receivedBy(document: JsonObject): Set<string> {
  const operations = Object.entries(objectAt(document, 'operations'));
  const received = operations.filter(([, one]) => isObject(one) && one['action'] === 'receive');
  return new Set(received.map(([name]) => name));
}
