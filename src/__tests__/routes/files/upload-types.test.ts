import { randomBytes } from 'node:crypto';
import sharp from 'sharp';
import { refused } from '../../fixtures/accounts';
import { hugePng, animatedGif, noiseImage, PICTURE } from '../../fixtures/images';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { download, send, storedFiles, upload } from '../../fixtures/uploads';

const MB = 1024 * 1024;

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer({ UPLOAD_IMAGE_MB: '2', UPLOAD_MEDIA_MB: '4', UPLOAD_FILE_MB: '3' });
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)" width="9" height="9"/>';
const mp4 = Buffer.concat([
  Buffer.from('0000001866747970', 'hex'),
  Buffer.from('isom\0\0\x02\0isomiso2'),
  randomBytes(100),
]);

/** Frames of MPEG audio, layer III, at 128 kbit/s and 44,100 Hz: 417 bytes each. */
const mp3 = Buffer.concat(Array(4).fill(Buffer.concat([Buffer.from('fffb9000', 'hex'), Buffer.alloc(413)])));
/** Frames of AAC, 64 bytes each. */
const aac = Buffer.concat(
  Array(4).fill(Buffer.concat([Buffer.from('fff150800800fc', 'hex'), Buffer.alloc(57)])),
);
/** An ID3 tag of the given size in bytes. */
const id3 = (size: number) => Buffer.concat([Buffer.from('49443304000000000000', 'hex'), Buffer.alloc(size)]);
const tagged = (size: number) => {
  const tag = id3(size);
  tag.set([size >> 7, size & 0x7f], 8);
  return tag;
};
/** A box of an MP4 file. */
const box = (name: string, content: Buffer) => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + content.length);
  head.write(name, 4, 'latin1');
  return Buffer.concat([head, content]);
};
const mov = Buffer.concat([
  box('wide', Buffer.alloc(0)),
  box('mdat', randomBytes(50)),
  box('moov', Buffer.alloc(20)),
]);
const utf16 = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le');

describe('the type of a file is determined by its content', () => {
  const files: [string, string | Buffer, string][] = [
    ['a note', 'Grüße aus Lissabon 🌊\n', 'text/plain'],
    ['a note that begins like a bitmap', 'BMW or train?', 'text/plain'],
    ['a note that begins like a solid', 'solid work, everyone', 'text/plain'],
    ['a log with colours', '\u001b[31mfailed\u001b[0m\r\n\tat once\f', 'text/plain'],
    ['a calendar', 'BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n', 'text/plain'],
    ['SVG', svg, 'text/plain'],
    ['SVG with an XML declaration', `<?xml version="1.0"?>\n${svg}`, 'text/plain'],
    ['HTML', '<!doctype html><script>alert(1)</script>', 'text/plain'],
    ['a PDF', '%PDF-1.7\n%âãÏÓ\n', 'application/pdf'],
    ['a ZIP archive', Buffer.from(`504b0506${'00'.repeat(18)}`, 'hex'), 'application/zip'],
    ['an MP4', mp4, 'video/mp4'],
    ['a video without a file type', mov, 'video/quicktime'],
    ['MP3', mp3, 'audio/mpeg'],
    ['MP3 after an ID3 tag', Buffer.concat([tagged(300), mp3]), 'audio/mpeg'],
    ['a short MP3 with an ID3 tag', Buffer.concat([mp3.subarray(0, 417), Buffer.from('TAG')]), 'audio/mpeg'],
    ['AAC', aac, 'audio/aac'],
    ['a note in UTF-16', utf16('Grüße aus Lissabon 🌊\r\n'), 'text/plain'],
    ['a note in big-endian UTF-16', utf16('Grüße\r\n').swap16(), 'text/plain'],
    ['HTML in UTF-16', utf16('<!doctype html><script>alert(1)</script>'), 'text/plain'],
    ['XML in UTF-16', utf16('<?xml version="1.0"?><a/>'), 'text/plain'],
    ['a note with a byte order mark', `\ufeff${svg}`, 'text/plain'],
    ['a note that begins like a video', 'The free version of it', 'text/plain'],
    ['a note that begins like an image', 'GIF89a or PNG?', 'text/plain'],
    ['a script that begins like an image', 'GIF89a/*<svg/onload=alert(1)>*/=1', 'text/plain'],
    ['a note that begins like an archive', 'BZh is how it begins', 'text/plain'],
    ['a note that begins like audio', 'ID3 tags, fLaC and OggS', 'text/plain'],
    ['a note about PDF', '%PDF is how it begins', 'text/plain'],
    ['RTF', '{\\rtf1 Hello}', 'application/rtf'],
    ['nothing', '', 'text/plain'],
  ];
  it.each(files)('(%s)', async (_, content, mediaType) => {
    const attachment = await upload(server.api, ada, content, 'picture.jpg');
    expect(attachment).toMatchObject({
      name: 'picture.jpg',
      mediaType,
      size: Buffer.byteLength(content),
      width: null,
      height: null,
      thumbnail: false,
    });
    const { content: kept } = await download(server, `/api/upload/${attachment.id}`, ada);
    expect(kept).toEqual(Buffer.from(content));
  });

  const others: [string, Buffer][] = [
    ['an executable', Buffer.from('7f454c4602010100', 'hex')],
    ['an executable for Windows', Buffer.concat([Buffer.from('MZ'), Buffer.alloc(200)])],
    ['random bytes', Buffer.from('00ff00ff00ff', 'hex')],
    ['text in another encoding', Buffer.from('Grüße', 'latin1')],
    ['text with a NUL', Buffer.from('a\0b')],
    ['text that is cut within a character', Buffer.from('Grüße 🌊').subarray(0, -1)],
    ['text in UTF-16 that is cut within a character', utf16('Grüße 🌊').subarray(0, -2)],
    ['text in UTF-16 of an odd length', utf16('Grüße').subarray(0, -1)],
    ['text in UTF-16 without a byte order mark', utf16('Grüße').subarray(2)],
    ['text in UTF-32', Buffer.from('fffe000041000000', 'hex')],
    ['data that begins like MP3', Buffer.concat([Buffer.from('fffb9000', 'hex'), randomBytes(2000)])],
    ['data that begins like AAC', Buffer.concat([Buffer.from('fff150800800fc', 'hex'), Buffer.alloc(99)])],
    [
      'frames of different audio formats',
      Buffer.concat([mp3.subarray(0, 417), Buffer.from('fff3', 'hex'), mp3.subarray(2)]),
    ],
    ['an ID3 tag without audio', Buffer.concat([tagged(20), Buffer.from('<script>alert(1)</script>')])],
    [
      'data that begins like a video',
      Buffer.concat([Buffer.from([255, 1, 2, 3]), Buffer.from('free'), Buffer.alloc(99)]),
    ],
    ['a font', Buffer.from(`0001000000${'00'.repeat(99)}`, 'hex')],
    ['an icon', Buffer.from(`00000100${'00'.repeat(99)}`, 'hex')],
    ['a bitmap', Buffer.concat([Buffer.from('BM'), Buffer.alloc(99)])],
  ];
  it.each(others)('and %s is refused', async (_, content) => {
    const before = await storedFiles(server);
    const answer = await send(server.api, ada, content, 'notes.txt');
    expect(answer).toMatchObject(refused(415, 'unsupported_media_type'));
    expect(await storedFiles(server)).toEqual(before);
  });

  it('an image in a format that cannot be re-encoded is refused', async () => {
    const tiff = await sharp(PICTURE).tiff().toBuffer();
    expect(await send(server.api, ada, tiff, 'a.png')).toMatchObject(refused(415, 'unsupported_media_type'));
  });
});

it('text in UTF-16 keeps its encoding when downloaded', async () => {
  const { id } = await upload(server.api, ada, utf16('Grüße'), 'notes.txt');
  const { headers } = await download(server, `/api/upload/${id}`, ada);
  expect(headers.get('content-type')).toBe('text/plain; charset=utf-16');
});

describe('a file that is valid in two formats is never shown as a page by browsers', () => {
  const page = '<!doctype html><script>alert(1)</script>';
  const polyglots: [string, () => Buffer | Promise<Buffer>][] = [
    ['an image and HTML', async () => Buffer.concat([await noiseImage(9, 9, 'gif'), Buffer.from(page)])],
    ['a PDF and HTML', () => Buffer.from(`%PDF-1.7\n${page}`)],
    ['a video and HTML', () => Buffer.concat([mp4, Buffer.from(page)])],
    ['audio and HTML', () => Buffer.concat([tagged(120), mp3, Buffer.from(page)])],
    [
      'an archive and HTML',
      () => Buffer.concat([Buffer.from(page), Buffer.from(`504b0506${'00'.repeat(18)}`, 'hex')]),
    ],
    ['SVG and text', () => Buffer.from(`Hello\n${svg}`)],
    ['HTML in UTF-16', () => utf16(page)],
  ];
  it.each(polyglots)('(%s)', async (_, make) => {
    const answer = await send(server.api, ada, await make(), 'page.html');
    if (answer.status === 415) return;
    const { headers, content } = await download(server, `/api/upload/${answer.body.attachment.id}`, ada);
    expect(headers.get('content-type')).not.toMatch(/html|xml|svg/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'; sandbox/);
    const isInline = headers.get('content-disposition')!.startsWith('inline');
    expect(isInline).toBe(/^(image|audio|video)\//.test(headers.get('content-type')!));
    // A re-encoded image contains nothing of the other format.
    if (headers.get('content-type')!.startsWith('image/')) expect(content.includes('<script>')).toBe(false);
  });
});

describe('an image', () => {
  it.each(['jpeg', 'png', 'webp', 'gif', 'avif'] as const)('in %s is re-encoded', async (format) => {
    const attachment = await upload(server.api, ada, await noiseImage(300, 200, format), `me.${format}`);
    const drawnAs = format === 'avif' ? 'webp' : format;
    expect(attachment).toMatchObject({
      name: `me.${drawnAs}`,
      mediaType: `image/${drawnAs}`,
      width: 300,
      height: 200,
      thumbnail: true,
    });
    const { content, headers } = await download(server, `/api/upload/${attachment.id}`, ada);
    expect(headers.get('content-type')).toBe(`image/${drawnAs}`);
    expect(content).toHaveLength(attachment.size);
    expect(await sharp(content).metadata()).toMatchObject({ format: drawnAs, width: 300, height: 200 });
  });

  it('loses its location, and is stored upright', async () => {
    const exif = { IFD0: { Make: 'Camera' }, IFD3: { GPSLatitude: '38/1 42/1 0/1', GPSLatitudeRef: 'N' } };
    const taken = await sharp({ create: { width: 40, height: 20, channels: 3, background: '#f00' } })
      .withExif(exif)
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    expect((await sharp(taken).metadata()).exif).toBeDefined();
    const attachment = await upload(server.api, ada, taken, 'holiday.jpg');
    expect(attachment).toMatchObject({ width: 20, height: 40 });
    for (const query of ['', '?thumbnail']) {
      const { content } = await download(server, `/api/upload/${attachment.id}${query}`, ada);
      const { exif: left, orientation, icc, xmp, width } = await sharp(content).metadata();
      expect([left, orientation, icc, xmp, width]).toEqual([undefined, undefined, undefined, undefined, 20]);
    }
  });

  it('has a small thumbnail that is never larger than the image', async () => {
    const large = await upload(server.api, ada, await noiseImage(1200, 600), 'large.jpg');
    const { content, headers } = await download(server, `/api/upload/${large.id}?thumbnail`, ada);
    expect(headers.get('content-type')).toBe('image/webp');
    expect(await sharp(content).metadata()).toMatchObject({ format: 'webp', width: 480, height: 240 });
    const small = await upload(server.api, ada);
    const { content: same } = await download(server, `/api/upload/${small.id}?thumbnail`, ada);
    expect(await sharp(same).metadata()).toMatchObject({ width: 1, height: 1 });
  });

  it('that is animated stays animated', async () => {
    const frames = await Promise.all(
      ['#f00', '#0f0', '#00f'].map((background) =>
        sharp({ create: { width: 30, height: 20, channels: 3, background } })
          .png()
          .toBuffer(),
      ),
    );
    const moving = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    const attachment = await upload(server.api, ada, moving, 'moving.gif');
    expect(attachment).toMatchObject({ mediaType: 'image/gif', width: 30, height: 20 });
    const { content } = await download(server, `/api/upload/${attachment.id}`, ada);
    expect(await sharp(content).metadata()).toMatchObject({ pages: 3 });
  });

  it('that is huge when decoded is refused before it is decoded', async () => {
    const bomb = hugePng(12_000);
    expect(bomb.length).toBeLessThan(MB);
    const before = process.memoryUsage().rss;
    expect(await send(server.api, ada, bomb)).toMatchObject(refused(422, 'image_too_large'));
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * MB);
  });

  it('that is animated and huge with all its frames is refused', async () => {
    const film = await animatedGif(2000, 14);
    expect(await sharp(film, { animated: true }).metadata()).toMatchObject({ pages: 14 });
    expect(film.length).toBeLessThan(MB);
    expect(await send(server.api, ada, film)).toMatchObject(refused(422, 'image_too_large'));
  });

  it('that is truncated is refused and leaves nothing behind', async () => {
    const before = await storedFiles(server);
    const whole = await noiseImage(200, 200);
    const half = whole.subarray(0, whole.length / 2);
    expect(await send(server.api, ada, half)).toMatchObject(refused(422, 'image_invalid'));
    expect(await storedFiles(server)).toEqual(before);
  });
});

describe('a file that is too large', () => {
  const sizes: [string, Buffer, number][] = [
    ['an image', PICTURE, 2 * MB],
    ['a video', mp4, 4 * MB],
    ['any other type', Buffer.from('%PDF-1.7\n'), 3 * MB],
  ];
  it.each(sizes)('(%s) is refused by the limit of its type', async (_, beginning, limit) => {
    const padded = (size: number) => Buffer.concat([beginning, Buffer.alloc(size - beginning.length)]);
    expect((await send(server.api, ada, padded(limit))).status).toBe(201);
    expect(await send(server.api, ada, padded(limit + 1))).toMatchObject(refused(413, 'payload_too_large'));
  });

  it('is refused during the upload when it exceeds the largest limit', async () => {
    const answer = await send(server.api, ada, Buffer.alloc(5 * MB));
    expect(answer).toMatchObject(refused(413, 'payload_too_large'));
  });
});

describe('the name of a file', () => {
  const names: [string, string][] = [
    ['Grüße 🌊.txt', 'Grüße 🌊.txt'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Users\\ada\\plan.txt', 'plan.txt'],
    ['invoice\u202etxt.exe', 'invoicetxt.exe'],
    ['invoice\u061ctxt.exe', 'invoicetxt.exe'],
    ['....', 'file'],
    ['   ', 'file'],
    [`${'x'.repeat(300)}.txt`, `${'x'.repeat(196)}.txt`],
  ];
  it.each(names)('(%j) is shown as %j', async (given, shown) => {
    expect((await upload(server.api, ada, 'hello', given)).name).toBe(shown);
  });
});

test('the files of a user stay within the quota, also with many concurrent uploads', async () => {
  const small = await startTestServer({ UPLOAD_QUOTA_MB: '1' });
  const eva = await signUp(small.api, 'eva');
  const text = (bytes: number) => 'x'.repeat(bytes);
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => send(small.api, eva, text(300 * 1024), 'a.txt')),
  );
  const taken = answers.filter(({ status }) => status === 201);
  expect(taken).toHaveLength(3);
  const refusal = answers.find(({ status }) => status !== 201);
  expect(refusal).toMatchObject(refused(409, 'quota_exceeded'));
  expect(refusal?.body.error.details).toMatchObject({ quota: MB });
  expect(await storedFiles(small)).toHaveLength(3);
  // A deleted upload frees space, and the quota of others is not affected.
  await small.api.delete(`/api/upload/${taken[0]!.body.attachment.id}`, eva.token);
  await upload(small.api, eva, text(300 * 1024), 'a.txt');
  await upload(small.api, await signUp(small.api, 'bea'), text(900 * 1024), 'a.txt');
  await small.close();
});

test('an upload that is repeated with its key exists once; another name is another upload', async () => {
  const headers = { 'Idempotency-Key': 'upload-1' };
  const first = await send(server.api, ada, 'hello', 'a.txt', headers);
  const before = await storedFiles(server);
  const again = await send(server.api, ada, 'hello', 'a.txt', headers);
  expect([again.status, again.body, again.headers['idempotency-replayed']]).toEqual([
    201,
    first.body,
    'true',
  ]);
  expect(await storedFiles(server)).toEqual(before);
  const other = await send(server.api, ada, 'hello', 'b.txt', headers);
  expect(other).toMatchObject(refused(422, 'idempotency_key_reused'));
});
