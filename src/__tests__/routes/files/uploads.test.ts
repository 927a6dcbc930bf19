import fc from 'fast-check';
import { connect } from 'node:net';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { refused } from '../../fixtures/accounts';
import type { FilePart } from '../../fixtures/api';
import { avatarPart, hugePng, noiseImage, PICTURE, setAvatar, type Format } from '../../fixtures/images';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

const PATH = '/api/users/me/avatar';
const MB = 1024 * 1024;

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const temporary = () => readdir(join(server.context.config.uploadDir, 'tmp'));
const stored = () => readdir(join(server.context.config.uploadDir, 'avatars'));
const send = (...files: FilePart[]) => server.api.call('put', PATH, { token: ada.token, files });

afterEach(async () => {
  // The file of an aborted upload is deleted after the response.
  await until(async () => (await temporary()).length === 0);
  expect(await stored()).toEqual([]);
});

/** A body as bytes, so that it can be malformed in ways that no client produces. */
const bodyOf = (content: Buffer, head = 'form-data; name="avatar"; filename="a.png"') =>
  Buffer.concat([
    Buffer.from(`--limit\r\nContent-Disposition: ${head}\r\nContent-Type: image/png\r\n\r\n`),
    content,
    Buffer.from('\r\n--limit--\r\n'),
  ]);

async function sendRaw(body: Buffer | ReadableStream, type = 'multipart/form-data; boundary=limit') {
  const answer = await fetch(server.url + PATH, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${ada.token}`, 'Content-Type': type },
    body: body as never,
    duplex: 'half',
  } as RequestInit);
  return { status: answer.status, body: (await answer.json()) as any };
}

describe('a file that is not an image', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)" width="9" height="9"/>';
  const files: [string, string | Buffer][] = [
    ['SVG', svg],
    ['SVG with an XML declaration', `<?xml version="1.0"?>\n${svg}`],
    ['HTML', '<!doctype html><script>alert(1)</script>'],
    ['text', 'hello'],
    ['PDF', '%PDF-1.7\n%âãÏÓ\n'],
    ['an executable', Buffer.from('7f454c4602010100', 'hex')],
    ['a ZIP archive', Buffer.from('504b0304140000000800', 'hex')],
  ];
  it.each(files)('(%s) is refused, whatever its name', async (_, content) => {
    expect(await send(avatarPart(content))).toMatchObject(refused(415, 'unsupported_media_type'));
  });

  it('is refused in a format that is not on the list', async () => {
    const tiff = await sharp(PICTURE).tiff().toBuffer();
    expect(await send(avatarPart(tiff))).toMatchObject(refused(415, 'unsupported_media_type'));
  });

  it('is refused when it is empty', async () => {
    expect(await send(avatarPart(''))).toMatchObject(refused(422, 'image_invalid'));
  });

  it.each<Format>(['jpeg', 'png', 'webp', 'gif', 'avif'])(
    'is refused when it is a truncated %s',
    async (format) => {
      const whole = await noiseImage(400, 400, format);
      const half = whole.subarray(0, Math.floor(whole.length / 2));
      expect(await send(avatarPart(half))).toMatchObject(refused(422, 'image_invalid'));
    },
  );
});

describe('an image that is too large', () => {
  it('in pixels is refused before it is decoded', async () => {
    const bomb = hugePng(12_000);
    expect(bomb.length).toBeLessThan(MB);
    const before = process.memoryUsage().rss;
    expect(await send(avatarPart(bomb))).toMatchObject(refused(422, 'image_too_large'));
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * MB);
  });

  it('in bytes is refused: one byte more than 5 MB, and much more', async () => {
    // Bytes after the end of a PNG do no harm.
    const padded = (size: number) => Buffer.concat([PICTURE, Buffer.alloc(size - PICTURE.length)]);
    expect((await setAvatar(server.api, ada, padded(5 * MB))).status).toBe(200);
    await server.api.delete(PATH, ada.token);
    for (const size of [5 * MB + 1, 8 * MB]) {
      expect(await send(avatarPart(padded(size)))).toMatchObject(refused(413, 'payload_too_large'));
    }
  });

  it('in bytes is refused also without a Content-Length', async () => {
    const chunk = new Uint8Array(256 * 1024);
    let sent = 0;
    const stream = new ReadableStream({
      pull(controller) {
        if (sent === 0) controller.enqueue(bodyOf(Buffer.alloc(0)).subarray(0, -'\r\n--limit--\r\n'.length));
        sent += chunk.length;
        if (sent > 10 * MB) controller.close();
        else controller.enqueue(chunk);
      },
    });
    expect(await sendRaw(stream)).toMatchObject(refused(413, 'payload_too_large'));
  });
});

describe('a malformed form', () => {
  const issue = {
    status: 400,
    body: { error: { code: 'validation_failed', details: [{ path: 'avatar' }] } },
  };
  const forms: [string, FilePart[]][] = [
    ['another field', [{ ...avatarPart(PICTURE), field: 'picture' }]],
    ['a field like a path', [{ ...avatarPart(PICTURE), field: 'avatar[0]' }]],
    ['a field with a long name', [{ ...avatarPart(PICTURE), field: 'a'.repeat(500) }]],
    ['two files', [avatarPart(PICTURE), avatarPart(PICTURE)]],
    ['a file and one more in another field', [avatarPart(PICTURE), { ...avatarPart(PICTURE), field: 'x' }]],
    ['text instead of the file', [{ field: 'avatar', content: 'hello' }]],
    ['a file and text', [avatarPart(PICTURE), { field: '__proto__', content: 'x' }]],
  ];
  it.each(forms)('(%s) is refused', async (_, files) => {
    expect(await send(...files)).toMatchObject(issue);
  });

  it('is refused without a file and without a body', async () => {
    expect(await sendRaw(Buffer.from('--limit--\r\n'))).toMatchObject(issue);
    expect(await server.api.call('put', PATH, { token: ada.token })).toMatchObject(issue);
  });

  it('is refused as JSON and as a bare file', async () => {
    const refusal = refused(415, 'unsupported_media_type');
    expect(await server.api.call('put', PATH, { token: ada.token, body: { avatar: 'x' } })).toMatchObject(
      refusal,
    );
    expect(await sendRaw(PICTURE, 'image/png')).toMatchObject(refusal);
  });

  it.each([
    ['has no boundary', bodyOf(PICTURE), 'multipart/form-data'],
    ['is cut off', bodyOf(PICTURE).subarray(0, -30), undefined],
    [
      'has a malformed header',
      Buffer.from('--limit\r\nContent-Dis\0position\r\n\r\nx\r\n--limit--'),
      undefined,
    ],
  ])('is refused when it %s', async (_, body, type) => {
    expect((await sendRaw(body, type)).status).toBe(400);
  });

  it('never causes a server error, whatever bytes it contains', async () => {
    const whole = bodyOf(await noiseImage(40, 40, 'png'));
    const change = fc.record({
      at: fc.nat(whole.length - 1),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
    });
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const body = Buffer.from(whole);
        for (const { at, bytes } of changes) Buffer.from(bytes).copy(body, at);
        const { status } = await sendRaw(body);
        expect(status).toBeLessThan(500);
        statuses.add(status);
      }),
      { numRuns: 150 },
    );
    expect(statuses.size).toBeGreaterThan(1);
    await server.api.delete(PATH, ada.token);
  });
});

describe('an upload by a client', () => {
  it('that disconnects midway leaves nothing behind', async () => {
    const body = bodyOf(Buffer.alloc(4 * MB));
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `PUT ${PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.token}\r\n` +
        `Content-Type: multipart/form-data; boundary=limit\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.subarray(0, MB));
    await until(async () => (await temporary()).length === 1);
    socket.destroy();
    await until(async () => (await temporary()).length === 0);
  });

  it('without a token is refused before anything is stored', async () => {
    const answer = await server.api.call('put', PATH, { files: [avatarPart(Buffer.alloc(4 * MB))] });
    expect(answer).toMatchObject(refused(401, 'unauthenticated'));
  });

  it('that uploads too often has to wait', async () => {
    const throttled = await startTestServer({ THROTTLE_ENABLED: 'true' });
    const eva = await signUp(throttled.api, 'eva');
    const statuses: number[] = [];
    // Requests that are not forms are counted, too.
    for (let time = 0; time < 301; time++) {
      statuses.push((await throttled.api.call('put', PATH, { token: eva.token })).status);
    }
    expect(statuses.filter((status) => status === 400)).toHaveLength(300);
    const answer = await setAvatar(throttled.api, eva);
    expect(answer).toMatchObject(refused(429, 'rate_limited'));
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(500);
    await throttled.close();
  });
});

describe('many concurrent images', () => {
  it('of one user are processed one at a time; those over the limit are refused without affecting other users', async () => {
    const picture = await noiseImage(800, 800, 'webp');
    const bob = await signUp(server.api, 'bob');
    const flood = Array.from({ length: 50 }, () => setAvatar(server.api, ada, picture));
    const [theirs, ...answers] = await Promise.all([setAvatar(server.api, bob), ...flood]);
    expect(theirs.status).toBe(200);
    const busy = answers.filter(({ status }) => status !== 200);
    expect(busy.length).toBeGreaterThan(0);
    for (const answer of busy) {
      expect(answer).toMatchObject(refused(429, 'rate_limited'));
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    }
    for (const { token } of [ada, bob]) await server.api.delete(PATH, token);
  });
});
