import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decisionProblems, decisionsTable } from '../../../tools/docs-decisions';
import { brokenReferences } from '../../../tools/docs-references';
import { docsTables } from '../../../tools/docs-tables';
import { ERROR_CODES } from '../../models/kernel/error.model';

const id = { type: 'string', minLength: 24, maxLength: 24, description: 'An id: 24 hexadecimal digits.' };
const object = (properties: object, required: string[]) => ({ type: 'object', properties, required });
const message = object(
  {
    id,
    text: { type: 'string', description: 'The text,\nor what is left of it.' },
    at: { anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] },
    size: { type: 'integer', default: 5 },
  },
  ['id', 'at'],
);
const reply = { $ref: '#/components/schemas/Message' };
const ack = {
  oneOf: [object({ ok: { const: true }, data: object({ message: reply }, ['message']), replayed: {} }, [])],
};
const document = {
  channels: {
    socket: {
      messages: {
        'message.edit': {
          name: 'message:edit',
          summary: 'Changes a message.',
          payload: object({ ids: { type: 'array', items: id }, kind: { enum: ['a', 'b'] } }, ['ids']),
        },
        'message.edit.ack': { name: 'message:edit', summary: '', payload: ack },
        'message.updated': { name: 'message:updated', summary: 'A message has changed.', payload: reply },
      },
    },
  },
  operations: { 'message.edit': { action: 'receive' }, 'message.updated': { action: 'send' } },
  components: {
    schemas: {
      Message: message,
      AcknowledgedError: object({ code: { type: 'string', enum: ERROR_CODES } }, ['code']),
      Change: { oneOf: [object({ n: { type: 'integer' } }, ['n']), reply] },
    },
  },
};

describe('the generated tables', () => {
  const tables = docsTables(document);

  it('list every event with its fields, their types, and whether they are optional', () => {
    expect(tables['client-events']).toContain(
      '| `message:edit` | `{ ids: id[], kind?: "a" \\| "b" }` ' +
        '| `{ message: Message }` ([`Message`](objects.md#message)) | Changes a message. |',
    );
    expect(tables['server-events']).toContain(
      '| `message:updated` | [`Message`](objects.md#message) | A message has changed. |',
    );
  });

  it('list every object', () => {
    expect(tables['objects']).toContain(
      [
        '## Message',
        '',
        '| field | type | always there |  |',
        '| --- | --- | --- | --- |',
        '| `id` | `id` | yes |  |',
        '| `text` | `string` | no | The text, or what is left of it. |',
        '| `at` | `time \\| null` | yes |  |',
        '| `size` | `integer` | no | Default: `5`. |',
      ].join('\n'),
    );
    expect(tables['objects']).toContain(
      '## Change\n\nOne of:\n\n- `{ n: integer }`\n- [`Message`](objects.md#message)',
    );
  });

  it('list the error codes by HTTP status', () => {
    expect(tables['acknowledgements']).toContain(
      '| `error.code` | [`ErrorCode`](realtime.md#error-codes) | after an error |',
    );
    expect(tables['error-codes']).toContain('| 415 | `unsupported_media_type` |');
  });
});

describe('a page of documentation', () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-docs-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const named = {
    events: new Set(['message:edit']),
    routes: new Set(['GET /api/users/{}']),
    scripts: new Set(['check']),
  };
  const problemsOf = (text: string) => {
    const page = join(folder, 'page.md');
    writeFileSync(page, text);
    return brokenReferences(page, named).map((line) => line.replace(/^.*page\.md: /, ''));
  };

  it('may refer to things that exist', () => {
    const text =
      '# A heading: with a colon\n`message:edit {x}`, `a:b`, `GET /api/users/:userId`, `npm run check`, `npm ci`, `DATA_DIR`,' +
      ' `__tests__/tools/docs`, `services/user.service.ts`, [here](#a-heading-with-a-colon), [page](page.md), [out](https://example.org/x)';
    expect(problemsOf(text)).toEqual([]);
  });

  it.each([
    ['`message:edited`', 'there is no event message:edited'],
    ['`POST /api/users/:userId`', 'there is no route POST /api/users/:userId'],
    ['`npm run checks`', 'there is no script checks in package.json'],
    ['`DATA_DIRECTORY`', 'there is no setting DATA_DIRECTORY'],
    ['`__tests__/tools/doc`', 'there is no test tools/doc'],
    ['`services/user.services.ts`', 'there is no file src/services/user.services.ts'],
    ['[x](gone.md)', 'there is no page gone.md'],
    ['[x](#gone)', 'there is no heading #gone'],
  ])('that refers to %s is reported', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });
});

describe('decision records', () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-decisions-'));
  beforeEach(() => {
    write('README.md', '# Decisions\n');
    write(
      '0001-one.md',
      '# One | two\n\nStatus: superseded by [0002](0002-two.md)\nDate: 2026-11-23\n\n## Context\n',
    );
    write('0002-two.md', '# Two\n\nStatus: accepted\nDate: 2026-11-30\n\n## Context\n');
  });
  afterEach(() => readdirSync(folder).forEach((name) => rmSync(join(folder, name))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

  it('are listed in the index by number, with title, date and status', () => {
    expect(decisionProblems(folder)).toEqual([]);
    expect(decisionsTable(folder).split('\n').slice(2)).toEqual([
      '| [0001](0001-one.md) | One \\| two | 2026-11-23 | superseded by [0002](0002-two.md) |',
      '| [0002](0002-two.md) | Two | 2026-11-30 | accepted |',
    ]);
  });

  const head = (status: string, date = '2026-11-30') => `# Three\n\n${status}\nDate: ${date}\n\n## Context\n`;
  it.each([
    ['no title', '0003-three.md', 'Status: accepted\nDate: 2026-11-30\n', 'the first line must be its title'],
    ['no status', '0003-three.md', head(''), 'there is no line "Status: '],
    ['an unknown status', '0003-three.md', head('Status: fine'), 'there is no line "Status: '],
    [
      'a status in its text',
      '0003-three.md',
      `${head('')}\nStatus: accepted\n`,
      'there is no line "Status: ',
    ],
    ['no date', '0003-three.md', '# Three\n\nStatus: accepted\n', 'there is no line "Date: '],
    ['an invalid date', '0003-three.md', head('Status: accepted', '2026-02-30'), 'there is no line "Date: '],
    ['a duplicate number', '0002-zwei.md', head('Status: accepted'), '0002-two.md has the same number'],
    ['a malformed name', '3-three.md', head('Status: accepted'), 'the name must be '],
  ])('with %s are reported', (_, name, text, problem) => {
    write(name, text);
    expect(decisionProblems(folder)).toEqual([expect.stringContaining(`${name}: ${problem}`)]);
  });
});
