import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { BSON, Binary, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'mongodb';
import * as tar from 'tar';
import {
  BLOCK_BYTES,
  CHECKSUMS,
  documentPart,
  filePart,
  FORMAT_VERSION,
  headerOf,
  INTRODUCTION,
  MANIFEST,
  paddingAfter,
  sealOf,
  type Manifest,
} from '../../../services/backup/archive-format';
import { ArchiveWriter } from '../../../services/backup/archive-writer';
import { verifyArchive } from '../../../services/backup/archive-verifier';
import { documentsOf } from '../../../services/backup/bson-documents';

const PARTS = ['channels', 'messages', 'users'];
const KEY = 'images/6b0df08ac9a636232c5f2b8e';

let folder: string;
/** A whole archive. */
let whole: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-archive-'));
  const { path } = await write('whole.tar');
  whole = await readFile(path);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function begin(name: string): Promise<ArchiveWriter> {
  const introduction = { parleyVersion: '1.2.3', createdAt: '2026-11-30T12:00:00.000Z' };
  const writer = await ArchiveWriter.create(join(folder, name), introduction);
  for (const part of PARTS) await writer.add(documentPart(part, 1), Buffer.from(`the documents of ${part}`));
  await writer.addPieces(filePart(KEY), 700, [Buffer.alloc(600, 1), Buffer.alloc(100, 2)]);
  return writer;
}

async function write(name: string) {
  const writer = await begin(name);
  return writer.finish({
    database: { kind: 'embedded', version: '7.0.0', name: 'parley' },
    encryptionKeyId: 'abc',
    consistency: 'snapshot',
    migration: 1,
    collections: Object.fromEntries(PARTS.map((part) => [part, { documents: 1, bytes: 20, parts: 1 }])),
    files: { count: 1, bytes: 700 },
    missingFiles: { count: 0, keys: [] },
  });
}

async function verify(content: Buffer): Promise<Manifest> {
  const path = join(folder, 'changed.tar');
  await writeFile(path, content);
  return (await verifyArchive(path)).manifest;
}

const refused = (content: Buffer, message: string | RegExp = /archive|part/) =>
  expect(verify(content)).rejects.toMatchObject({
    name: 'ArchiveError',
    message: expect.stringMatching(message),
  });

interface Entry {
  name: string;
  content: Buffer;
  /** Where its header begins. */
  start: number;
}

/** The entries of an archive, as another program for tar files finds them. */
async function entriesOf(archive: Buffer): Promise<Entry[]> {
  const path = join(folder, 'listed.tar');
  await writeFile(path, archive.subarray(0, -BLOCK_BYTES));
  const entries: Entry[] = [];
  let start = 0;
  await tar.list({
    file: path,
    strict: true,
    onReadEntry: ({ path: name, size }) => {
      entries.push({
        name,
        start,
        content: archive.subarray(start + BLOCK_BYTES, start + BLOCK_BYTES + size),
      });
      start += BLOCK_BYTES + size + paddingAfter(size);
    },
  });
  return entries;
}

/** Puts an archive together from entries, with a seal that fits. */
function assemble(entries: Pick<Entry, 'name' | 'content'>[]): Buffer {
  const blocks = entries.flatMap(({ name, content }) => [
    headerOf(name, content.length, new Date(0)),
    content,
    Buffer.alloc(paddingAfter(content.length)),
  ]);
  const all = Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
  return Buffer.concat([all, sealOf(all.length, createHash('sha256').update(all).digest('hex'))]);
}

describe('an archive', () => {
  it('is a tar file for this user alone, with checksums that other programs can check', async () => {
    const path = join(folder, 'whole.tar');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const entries = await entriesOf(whole);
    const names = entries.map(({ name }) => name);
    const parts = [INTRODUCTION, ...PARTS.map((part) => documentPart(part, 1)), filePart(KEY)];
    expect(names).toEqual([...parts, CHECKSUMS, MANIFEST]);
    const sums = entries
      .slice(0, -2)
      .map(({ name, content }) => `${createHash('sha256').update(content).digest('hex')}  ${name}\n`);
    expect(entries.at(-2)!.content.toString()).toBe(sums.join(''));
    expect(await verify(whole)).toEqual(JSON.parse(entries.at(-1)!.content.toString()));
    expect(await verify(assemble(entries))).toMatchObject({ files: { count: 1, bytes: 700 } });
  });

  it('is refused with any byte changed', async () => {
    // Also in headers, in the padding after parts, and in the seal.
    const change = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }));
    const property = fc.asyncProperty(change, async ([place, difference]) => {
      const changed = Buffer.from(whole);
      changed[place]! ^= difference;
      await refused(changed);
    });
    await fc.assert(property, { numRuns: 400 });
  });

  it('is refused with an error that names the part in which a byte is changed', async () => {
    for (const { name, start, content } of await entriesOf(whole)) {
      const changed = Buffer.from(whole);
      changed[start + BLOCK_BYTES + Math.floor(content.length / 2)]! ^= 1;
      await refused(changed, name.replaceAll('.', '\\.'));
      const otherHeader = Buffer.from(whole);
      otherHeader[start]! ^= 1;
      await refused(otherHeader, /^The archive is damaged (at its beginning|after the part )|is incomplete/);
    }
  });

  it('is refused when it ends early or goes on', async () => {
    const incomplete = /^The archive is incomplete/;
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), (size) => refused(whole.subarray(0, size), incomplete)),
      { numRuns: 200 },
    );
    await refused(Buffer.concat([whole, Buffer.from('\n')]), incomplete);
    await refused(Buffer.concat([whole, whole.subarray(-BLOCK_BYTES)]), incomplete);
    await refused(Buffer.from('something else'), incomplete);
    await expect(verifyArchive(join(folder, 'none.tar'))).rejects.toThrow(/^There is no file/);
  });

  it('is refused when its parts are not those of its manifest', async () => {
    const entries = await entriesOf(whole);
    const without = (name: string) => entries.filter((entry) => entry.name !== name);
    const messages = documentPart('messages', 1);
    await refused(assemble(without(messages)), `The part ${messages} is damaged or missing`);
    await refused(assemble(without(filePart(KEY))), `The part ${filePart(KEY)} is missing`);
    await refused(assemble(without(CHECKSUMS)), `${CHECKSUMS} is missing`);
    await refused(assemble(without(MANIFEST)), `${MANIFEST} is missing`);
    const [introduction, one, two, ...rest] = entries as [Entry, Entry, Entry];
    await refused(assemble([introduction, two, one, ...rest]), `The part ${one.name} is damaged or missing`);
    await refused(
      assemble([...entries.slice(0, -2), { name: filePart(KEY), content: whole }, ...entries.slice(-2)]),
      'has 6 parts, and checksums of 5',
    );
    await refused(assemble([...entries, one]), 'out of place');
    const manifest = JSON.parse(entries.at(-1)!.content.toString()) as Manifest;
    manifest.collections['messages']!.parts = 2;
    await refused(
      assemble([...entries.slice(0, -1), { name: MANIFEST, content: Buffer.from(JSON.stringify(manifest)) }]),
      /not those of its manifest\.json/,
    );
  });

  it('is refused in another version of the format, and with files outside of the storage', async () => {
    const entries = await entriesOf(whole);
    const introduction = JSON.parse(entries[0]!.content.toString()) as object;
    const later = { ...introduction, formatVersion: FORMAT_VERSION + 1 };
    await refused(
      assemble([{ name: INTRODUCTION, content: Buffer.from(JSON.stringify(later)) }, ...entries.slice(1)]),
      `format version ${FORMAT_VERSION + 1}; this version of Parley reads version ${FORMAT_VERSION}`,
    );
    for (const name of [
      'files/../../etc/passwd',
      'files//etc/passwd',
      'files/images/../x',
      'files/x',
      'files/images/.x',
    ])
      await refused(
        assemble([entries[0]!, { name, content: Buffer.from('x') }, ...entries.slice(1)]),
        'has a file with the name',
      );
  });

  it('has its name only when it is whole, and replaces no other file', async () => {
    const list = async () => (await readdir(folder)).filter((name) => name.startsWith('new'));
    const writer = await begin('new.tar');
    expect((await list()).sort()).toEqual(['new.tar.checksums.partial', 'new.tar.partial']);
    await refused(await readFile(join(folder, 'new.tar.partial')), /incomplete/);
    await expect(writer.addPieces('files/images/x', 5, [Buffer.from('four')])).rejects.toThrow(
      'files/images/x has 4 bytes and not 5',
    );
    await writer.discard();
    expect(await list()).toEqual([]);
    await expect(begin('whole.tar')).rejects.toThrow('whole.tar exists already');
  });
});

describe('the documents of an archive', () => {
  const restored = (documents: object[]) =>
    [...documentsOf(Buffer.concat(documents.map((each) => BSON.serialize(each))), 'part')].map((each) =>
      Buffer.from(BSON.serialize(each)),
    );

  it('keep the exact type, value and order of every field', () => {
    const values = {
      int: new Int32(1),
      double: new Double(1),
      negativeZero: new Double(-0),
      notANumber: new Double(NaN),
      long: Long.fromString('9007199254740993'),
      small: Long.fromNumber(1),
      decimal: Decimal128.fromString('1.10'),
      date: new Date(-1),
      id: new ObjectId(),
      bytes: new Binary(Buffer.from([1, 2]), 0),
      uuid: new Binary(Buffer.alloc(16, 7), 4),
      expression: /a(b)?/i,
      timestamp: new Timestamp({ t: 5, i: 6 }),
      nothing: null,
      minimum: new MinKey(),
      maximum: new MaxKey(),
      text: 'ä \u0000 😀',
      list: [new Int32(1), [new Double(2)], {}],
      ['__proto__']: new Int32(3),
    };
    const ordered = new Map<string, unknown>([
      [
        'b',
        new Map<string, unknown>([
          ['2', new Int32(1)],
          ['1', values],
        ]),
      ],
      [
        '10',
        [
          new Map<string, unknown>([
            ['x', 1],
            ['0', 'first'],
          ]),
        ],
      ],
      ['9', new Double(4)],
    ]);
    const documents = [values, ordered, {}, { _id: 1 }];
    expect(restored(documents)).toEqual(documents.map((each) => Buffer.from(BSON.serialize(each))));
  });

  it('keep any value', () => {
    const leaf = fc.oneof(
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.integer().map((n) => new Int32(n)),
      fc.double().map((n) => new Double(n)),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array().map((bytes) => new Binary(bytes)),
    );
    const key = fc.oneof(
      fc.nat(30).map(String),
      fc.string({ minLength: 1 }).filter((text) => !text.includes('\0')),
    );
    const { document } = fc.letrec<{ document: Map<string, unknown>; value: unknown }>((tie) => ({
      document: fc
        .array(fc.tuple(key, tie('value')), { maxLength: 6 })
        .map((fields) => new Map<string, unknown>(fields)),
      value: fc.oneof({ maxDepth: 3 }, leaf, tie('document'), fc.array(leaf, { maxLength: 3 })),
    }));
    fc.assert(
      fc.property(document, (each) => {
        expect(restored([each])).toEqual([Buffer.from(BSON.serialize(each))]);
      }),
    );
  });

  it('are refused when they are no sequence of documents', () => {
    const document = Buffer.from(BSON.serialize({ a: 1 }));
    for (const part of [
      document.subarray(0, -1),
      Buffer.concat([document, Buffer.from([1])]),
      Buffer.alloc(8),
    ])
      expect(() => [...documentsOf(part, 'the part')]).toThrow(
        'The part the part does not consist of documents',
      );
  });
});
