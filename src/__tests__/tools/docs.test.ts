import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brokenReferences } from '../../../tools/docs-references';
import { docsTables } from '../../../tools/docs-tables';
import { ERROR_CODES } from '../../models/kernel/error.model';

const id = { type: 'string', minLength: 24, maxLength: 24, description: 'An id: 24 hexadecimal digits.' };
const object = (properties: object, required: string[]) => ({ type: 'object', properties, required });
const message = object(
  {
    id,
    text: { type: 'string', description: 'Of what was said,\nor is left.' },
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
          summary: 'Changes it.',
          payload: object({ ids: { type: 'array', items: id }, kind: { enum: ['a', 'b'] } }, ['ids']),
        },
        'message.edit.ack': { name: 'message:edit', summary: '', payload: ack },
        'message.updated': { name: 'message:updated', summary: 'It changed.', payload: reply },
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

  it('have every event with its fields, their types, and whether they may be missing', () => {
    expect(tables['client-events']).toContain(
      '| `message:edit` | `{ ids: id[], kind?: "a" \\| "b" }` ' +
        '| `{ message: Message }` ([`Message`](objects.md#message)) | Changes it. |',
    );
    expect(tables['server-events']).toContain(
      '| `message:updated` | [`Message`](objects.md#message) | It changed. |',
    );
  });

  it('have every object', () => {
    expect(tables['objects']).toContain(
      [
        '## Message',
        '',
        '| field | type | always there |  |',
        '| --- | --- | --- | --- |',
        '| `id` | `id` | yes |  |',
        '| `text` | `string` | no | Of what was said, or is left. |',
        '| `at` | `time \\| null` | yes |  |',
        '| `size` | `integer` | no | Default: `5`. |',
      ].join('\n'),
    );
    expect(tables['objects']).toContain(
      '## Change\n\nOne of:\n\n- `{ n: integer }`\n- [`Message`](objects.md#message)',
    );
  });

  it('have the codes of errors by their status', () => {
    expect(tables['acknowledgements']).toContain(
      '| `error.code` | [`ErrorCode`](realtime.md#error-codes) | after an error |',
    );
    expect(tables['error-codes']).toContain('| 415 | `unsupported_media_type` |');
  });
});

describe('a page', () => {
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

  it('may name what there is', () => {
    const text =
      '# A heading: of it\n`message:edit {x}`, `a:b`, `GET /api/users/:userId`, `npm run check`, `npm ci`, `DATA_DIR`,' +
      ' `__tests__/tools/docs`, [here](#a-heading-of-it), [page](page.md), [out](https://example.org/x)';
    expect(problemsOf(text)).toEqual([]);
  });

  it.each([
    ['`message:edited`', 'there is no event message:edited'],
    ['`POST /api/users/:userId`', 'there is no route POST /api/users/:userId'],
    ['`npm run checks`', 'there is no script checks in package.json'],
    ['`DATA_DIRECTORY`', 'there is no setting DATA_DIRECTORY'],
    ['`__tests__/tools/doc`', 'there is no test tools/doc'],
    ['[x](gone.md)', 'there is no page gone.md'],
    ['[x](#gone)', 'there is no heading #gone'],
  ])('that names %s is told so', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });
});
