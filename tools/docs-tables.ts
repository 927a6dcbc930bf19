import { CALL_STATES } from '../src/models/video-call.model';
import { CALL_TABLE } from '../src/services/calls/call-machine';
import { METRICS } from '../src/services/kernel/metrics';
import { ERROR_STATUS } from '../src/utils/errors';

/** The page of objects, relative to the pages that refer to it. */
const OBJECTS_PAGE = 'objects.md';

const ERROR_CODES = Object.keys(ERROR_STATUS).length;

interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  anyOf?: Schema[];
  oneOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  propertyNames?: Schema;
  description?: string;
  default?: unknown;
}

interface AsyncApi {
  channels: { socket: { messages: Record<string, { name: string; summary: string; payload: Schema }> } };
  operations: Record<string, { action: 'send' | 'receive' }>;
  components: { schemas: Record<string, Schema> };
}

/**
 * Returns the tables of the documentation that are generated from the AsyncAPI document, the error catalogue, the state
 * machine of calls and the list of metrics, by the names of their markers in the pages.
 * @param document docs/api/asyncapi.json
 */
export function docsTables(document: object): Record<string, string> {
  const api = document as AsyncApi;
  return {
    'client-events': clientEvents(api),
    'server-events': serverEvents(api),
    acknowledgements: acknowledgements(api),
    'error-codes': errorCodes(),
    objects: objects(api),
    'call-transitions': callTransitions(),
    metrics: metrics(),
  };
}

function clientEvents({ channels, operations }: AsyncApi): string {
  const { messages } = channels.socket;
  const rows = keysOf(operations, 'receive').map((key) => {
    const { name, summary, payload } = messages[key]!;
    const [done] = messages[`${key}.ack`]!.payload.oneOf ?? [];
    return [code(name), shape(payload), shape(done!.properties!['data']!), summary];
  });
  return table(['event', 'payload', '`data` of the acknowledgement', 'what it does'], rows);
}

/** What those receive whom a change of a call concerns. */
const CALL_EVENTS = { readers: 'call:updated', rung: 'call:ringing', removed: 'call:removed' } as const;

/** What each event does in each state of a call. */
function callTransitions(): string {
  const rows = Object.entries(CALL_TABLE).map(([event, row]) => [
    code(event),
    row.who,
    ...CALL_STATES.map((state) => {
      const cell = row[state];
      if (cell === 'same') return 'no effect';
      return 'refuse' in cell ? `refused: ${code(cell.refuse)}` : `→ ${cell.to.join(' or ')}`;
    }),
    row.tells.map((audience) => code(CALL_EVENTS[audience])).join(', '),
  ]);
  return table(
    ['event', 'who causes it', ...CALL_STATES.map((state) => `while ${state}`), 'clients receive'],
    rows,
  );
}

function serverEvents({ channels, operations }: AsyncApi): string {
  const rows = keysOf(operations, 'send').map((key) => {
    const { name, summary, payload } = channels.socket.messages[key]!;
    return [code(name), shape(payload), summary];
  });
  return table(['event', 'payload', 'who receives it, and when'], rows);
}

function acknowledgements({ channels, components }: AsyncApi): string {
  const { AcknowledgedError: error } = components.schemas;
  const replayed = channels.socket.messages['message.edit.ack']?.payload.oneOf?.[0]?.properties?.['replayed'];
  if (!error || !replayed) throw new Error('The AsyncAPI document does not describe acknowledgements.');
  const rows = [
    [code('ok'), code('true | false'), 'yes', 'Whether the event was carried out.'],
    [code('data'), 'as in the table above', 'after success', ''],
    [code('replayed'), code('true'), 'no', describe(replayed)],
    ...Object.entries(error.properties ?? {}).map(([name, schema]) => [
      code(`error.${name}`),
      shape(schema),
      error.required?.includes(name) ? 'after an error' : 'no',
      describe(schema),
    ]),
  ];
  return table(['field', 'type', 'always there', ''], rows);
}

function errorCodes(): string {
  const byStatus = new Map<number, string[]>();
  for (const [name, status] of Object.entries(ERROR_STATUS)) {
    byStatus.set(status, [...(byStatus.get(status) ?? []), code(name)]);
  }
  const rows = [...byStatus].sort(([one], [other]) => one - other);
  return table(
    ['HTTP status', 'codes'],
    rows.map(([status, codes]) => [String(status), codes.join(', ')]),
  );
}

function metrics(): string {
  const rows = Object.values(METRICS).map(({ name, kind, labels, help }) => [
    code(name),
    kind,
    labels.map(code).join(', '),
    help,
  ]);
  return table(['metric', 'kind', 'labels', ''], rows);
}

function objects({ components }: AsyncApi): string {
  const parts = Object.entries(components.schemas)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, schema]) => {
      const variants = schema.oneOf ?? schema.anyOf;
      const body = variants ? variants.map((each) => `- ${shape(each)}`).join('\n') : fields(schema);
      const lead = schema.description ? `${schema.description}\n\n` : '';
      return `## ${name}\n\n${lead}${variants ? 'One of:\n\n' : ''}${body}`;
    });
  return parts.join('\n\n');
}

function fields({ properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(([name, schema]) => [
    code(name),
    shape(schema),
    required.includes(name) ? 'yes' : 'no',
    [
      describe(schema),
      schema.default === undefined ? '' : `Default: ${code(JSON.stringify(schema.default))}.`,
    ]
      .filter(Boolean)
      .join(' '),
  ]);
  return table(['field', 'type', 'always there', ''], rows);
}

/** Returns the description of a field; empty for the description that all ids share. */
function describe({ description = '' }: Schema): string {
  return description.startsWith('An id: ') ? '' : description;
}

function keysOf(operations: AsyncApi['operations'], action: 'send' | 'receive'): string[] {
  return Object.keys(operations).filter((key) => operations[key]!.action === action);
}

/** Returns a type in TypeScript notation as inline code, followed by links to the objects that it names. */
function shape(schema: Schema): string {
  const names = new Set<string>();
  const text = typeOf(schema, names);
  if (text === 'ErrorCode') return '[`ErrorCode`](realtime.md#error-codes)';
  const only = [...names].find((name) => name === text);
  if (only !== undefined) return link(only);
  const links = names.size > 0 ? ` (${[...names].map(link).join(', ')})` : '';
  return `${code(text)}${links}`;
}

const link = (name: string) => `[\`${name}\`](${OBJECTS_PAGE}#${name.toLowerCase()})`;

function typeOf(schema: Schema, names: Set<string>): string {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1)!;
    names.add(name);
    return name;
  }
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.enum && schema.enum.length === ERROR_CODES) return 'ErrorCode';
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants) return variants.map((each) => typeOf(each, names)).join(' | ');
  switch (schema.type) {
    case 'array': {
      const item = typeOf(schema.items ?? {}, names);
      return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
    }
    case 'object':
      return objectOf(schema, names);
    case 'string':
      if (schema.format === 'date-time') return 'time';
      return isId(schema) ? 'id' : 'string';
    case undefined:
      return 'any';
    default:
      return schema.type;
  }
}

function objectOf(schema: Schema, names: Set<string>): string {
  const { properties, required = [], additionalProperties, propertyNames } = schema;
  if (properties) {
    const parts = Object.entries(properties).map(
      ([name, each]) => `${name}${required.includes(name) ? '' : '?'}: ${typeOf(each, names)}`,
    );
    return parts.length > 0 ? `{ ${parts.join(', ')} }` : '{}';
  }
  const value = typeof additionalProperties === 'object' ? typeOf(additionalProperties, names) : 'any';
  return `{ [${propertyNames ? typeOf(propertyNames, new Set()) : 'string'}]: ${value} }`;
}

/** Whether a schema is that of an id: 24 hexadecimal digits (models/kernel/common.model.ts). */
function isId({ pattern, minLength, maxLength }: Schema): boolean {
  return pattern === '^[0-9a-fA-F]{24}$' || (minLength === 24 && maxLength === 24);
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
