import { create as contentDisposition } from 'content-disposition';
import jwt from 'jsonwebtoken';
import type { IncomingMessage } from 'node:http';
import { ObjectId } from 'mongodb';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { z } from 'zod';
import { CLIENT_EVENTS } from '../../models/kernel/client-events.model';
import { createGroupInput } from '../../models/group.model';
import { listingOf, queryWordsOf } from '../../services/groups/group-listing';
import { summarise } from '../../services/writing/page-summary';
import { refuseCommonPassword } from '../../services/identity/password';
import { RecentErrors } from '../../services/operations/recent-errors';
import { Telemetry } from '../../services/kernel/telemetry';
import { highlightsIn } from '../../services/search/search-highlights';
import { parseSearch } from '../../services/search/search-query';
import { phrasePattern, searchFieldsOf, wordPattern } from '../../services/search/search-terms';
import { nearestName } from '../../utils/edit-distance';
import { normalizeEmoji } from '../../utils/emoji';
import { displayName, withEnding } from '../../utils/file-name';
import { linksIn } from '../../utils/links';
import { mentionNames } from '../../utils/mention-names';
import { isPublicAddress } from '../../utils/public-address';
import { clientAddress, trustProxy } from '../../utils/trust-proxy';
import { parseInput } from '../../utils/validation';
import { parseWebAddress } from '../../utils/web-address';
import { wordsOf } from '../../utils/words';
import {
  between,
  mixed,
  parts,
  repeat,
  TEXTS,
  tooSlow,
  type Make,
  type Work,
} from '../../../tools/jest/linear-time';

const URLS: Record<string, Make> = {
  'a link that ends with full stops and brackets': between('http://a', '.)'),
  'a link with brackets after full stops': (length) =>
    `http://a${'.'.repeat((length * 2) / 3)}${')'.repeat(length / 3)}`,
  'a link with brackets': (length) => `http://a${'('.repeat(length / 2)}${')'.repeat(length / 2)}`,
  'a link with punctuation and letters': between('http://a', '.x'),
  'a host of many letters': (length) => `http://${mixed(length)}/`,
  'a host of many dots': between('http://', 'a.'),
  'a path with parent segments': between('http://a/', '../'),
  'an address of many numbers': between('http://', '0x1.'),
};

const PAGES: Record<string, Make> = {
  tags: between('<title>x</title>', '<a>'),
  'tags within tags that are closed': parts('<a>', '</b>'),
  'unclosed tags': repeat('<a '),
  'closed paragraphs': repeat('</p>'),
  attributes: between('<meta ', 'a="b" '),
  'attributes without values': between('<meta ', 'content '),
  titles: repeat('<title>'),
  'a title of character references': between('<title>', '&amp;'),
  'unfinished character references': between('<title>', '&'),
  comments: repeat('<!--'),
  'an unclosed script': between('<script>', '</scrip'),
  drawings: repeat('<svg>'),
  'an image at a host of many letters': (length) =>
    `<title>x</title><meta property=og:image content="http://${mixed(length)}/">`,
};

const query = parseSearch('aa "bb cc" -dd ab 漢漢');
const errors = new RecentErrors(new Telemetry());
const patterns = [wordPattern('ab'), wordPattern('漢字'), phrasePattern(['ab', 'cd'])].map(
  (pattern) => new RegExp(pattern),
);
const throughProxies = trustProxy(true);

/** Every function that reads text of users or other outsiders, with special texts where needed. */
const FUNCTIONS: [name: string, work: Work, own?: Record<string, Make>][] = [
  ['links of a message', (text) => linksIn(text, 3), URLS],
  ['absolute URLs', (text) => parseWebAddress(text), URLS],
  ['relative URLs', (text) => parseWebAddress(text, 'http://localhost/'), URLS],
  ['mentions', mentionNames],
  ['emoji', normalizeEmoji],
  ['words', wordsOf],
  ['the index terms of a message', (text) => searchFieldsOf(text, 'a'.repeat(24))],
  ['patterns of a search', (text) => patterns.map((pattern) => pattern.test(` ${text}`))],
  ['a search', parseSearch],
  ['the preview of a page', (html) => summarise('http://a/', { url: 'http://a/', html }), PAGES],
  ['highlights', (text) => highlightsIn(text, query)],
  ['file names', (text) => withEnding(displayName(text), 'webp')],
  ['other file extensions', (text) => withEnding(text, 'webp')],
  ['the download header', (text) => contentDisposition(displayName(text))],
  [
    'the search terms of groups',
    (text) => {
      const group = parseInput(createGroupInput, { name: text, description: text, visibility: 'public' });
      return listingOf({ ...group, _id: new ObjectId(), archivedAt: null } as Parameters<
        typeof listingOf
      >[0]);
    },
  ],
  ['group searches', (text) => queryWordsOf(text.slice(0, 80))],
  ['common passwords', (text) => refuseCommonPassword(text, 'ada')],
  ['the error log', (text) => errors.record('route', new Error(text), null)],
  ['look-alike names', (text) => nearestName(text, ['PORT', 'MONGODB_URI'])],
  ['access tokens', (text) => jwt.verify(text, 'x'.repeat(32)), { parts: between('a.', 'a', '.a') }],
  [
    'proxy addresses',
    (text) => {
      const request = { headers: { 'x-forwarded-for': text }, socket: { remoteAddress: '127.0.0.1' } };
      return isPublicAddress(clientAddress(request as unknown as IncomingMessage, throughProxies));
    },
    { commas: repeat('1, '), 'commas and spaces': repeat(' ,') },
  ],
];

describe('the running time of a text function grows linearly with the text', () => {
  it.each(FUNCTIONS)('in %s', async (_, work, own = {}) => {
    expect(await tooSlow(work, { ...TEXTS, ...own })).toEqual({});
  });

  it('and a slower function is detected', async () => {
    const quadratic: Work = (text) => {
      let count = 0;
      for (let end = 0; end < text.length; end += 8) {
        for (let at = 0; at < end; at += 8) count += text.charCodeAt(at);
      }
      return count;
    };
    expect(await tooSlow(quadratic, { 'one word': TEXTS['one word']! })).toEqual({
      'one word': expect.any(Number),
    });
  });
});

describe('the time to validate an input grows linearly with its texts', () => {
  const load = createRequire(__filename);
  const folder = join(__dirname, '../../models');
  const events = Object.entries(CLIENT_EVENTS).map(([name, { payload }]) => [name, payload] as const);
  /** Puts a text or a list of texts into every field, whatever the schema expects. */
  const validate =
    (schema: z.ZodObject): Work =>
    (text) => {
      const fields = Object.keys(schema.shape);
      schema.safeParse(Object.fromEntries(fields.map((field) => [field, text])));
      schema.safeParse(Object.fromEntries(fields.map((field) => [field, Array(20).fill(text)])));
    };
  const texts = {
    ...Object.fromEntries(
      ['one word', 'spaces', 'full stops', 'minuses', 'digits', 'addresses of mail', 'combining marks'].map(
        (name) => [name, TEXTS[name]!],
      ),
    ),
    'an address of mail with dashes': between('a@', 'a-'),
    'a time': between('2026-01-31T12:00:00.', '0'),
    'a cursor': between('a', '-', `.${'a'.repeat(24)}`),
  };

  test('for all bodies, queries, paths and payloads of events', async () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const models = files.map((file) => load(join(folder, file)) as Record<string, unknown>);
    const schemas = models
      .flatMap((model) => Object.entries(model))
      .filter((each): each is [string, z.ZodObject] => each[1] instanceof z.ZodObject)
      .filter(([name]) => /(Input|Query|Params)$/.test(name));
    expect(schemas.length).toBeGreaterThan(50);
    expect(events.length).toBeGreaterThan(5);
    for (const [name, schema] of [...schemas, ...events]) {
      expect([name, await tooSlow(validate(schema as z.ZodObject), texts)]).toEqual([name, {}]);
    }
  });
});
