import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Attachment } from '../../../models/files/attachment.model';
import { auditOf, logInAgain } from '../../fixtures/accounts';
import { noiseImage } from '../../fixtures/images';
import { sendMessage } from '../../fixtures/messages';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { download, upload, type Download } from '../../fixtures/uploads';

let server: TestServer;
let root: Person;
let ada: Person;
let bruno: Person;
let stranger: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ root, ada, bruno, stranger } = await signUpAll(server.api, 'root', 'ada', 'bruno', 'stranger'));
});
afterAll(() => server.close());

const pathOf = ({ id }: Pick<Attachment, 'id'>) => `/api/upload/${id}`;
const statusFor = async (attachment: Attachment, by: Person): Promise<number> =>
  (await download(server, pathOf(attachment), by)).status;
const codeOf = ({ content }: Download): string =>
  (JSON.parse(content.toString()) as { error: { code: string } }).error.code;

/** A signed URL for `<img>`, as the server issues it. */
async function linkTo({ id }: Attachment, by: Person): Promise<string> {
  const { status, body } = await server.api.post('/api/upload/links', { attachmentIds: [id] }, by.token);
  expect([status, body.links.length, body.links[0].attachmentId]).toEqual([200, 1, id]);
  return body.links[0].url;
}

/** A message of Ada with a file, in a group with Bruno. */
async function sendFile(content: Buffer | string = 'hello', name = 'note.txt') {
  const room = await createRoom(server.api, ada, [bruno]);
  const attachment = await upload(server.api, ada, content, name);
  const message = await sendMessage(server.api, room.channelId, ada, '', { attachmentIds: [attachment.id] });
  return { ...room, attachment, message };
}

describe('reading a file', () => {
  it('is limited to its owner until it is sent', async () => {
    const attachment = await upload(server.api, ada, 'hello', 'note.txt');
    expect(await statusFor(attachment, ada)).toBe(200);
    for (const person of [bruno, root]) expect(await statusFor(attachment, person)).toBe(404);
    expect((await download(server, pathOf(attachment))).status).toBe(401);
  });

  it('is permitted to readers of the message; for others the file does not exist', async () => {
    const { attachment } = await sendFile();
    for (const person of [ada, bruno]) expect(await statusFor(attachment, person)).toBe(200);
    const foreign = await download(server, pathOf(attachment), stranger);
    const missing = await download(server, `/api/upload/${new ObjectId().toHexString()}`, stranger);
    expect([foreign.status, codeOf(foreign)]).toEqual([404, 'not_found']);
    const without = ({ content }: Download) => content.toString().replace(/"requestId":"[^"]*"/, '');
    expect(without(foreign)).toBe(without(missing));
  });

  it('is refused to removed users as soon as the call returns, even to its owner and by every URL', async () => {
    const { attachment, groupId, channelId } = await sendFile();
    const link = await linkTo(attachment, bruno);
    expect((await download(server, link)).status).toBe(200);
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    expect(await statusFor(attachment, bruno)).toBe(404);
    expect((await download(server, link)).status).toBe(404);
    expect((await download(server, `${link}&thumbnail`)).status).toBe(404);

    await server.api.post(`/api/groups/${groupId}/members`, { userId: bruno.id }, ada.token);
    const own = await upload(server.api, bruno, 'mine', 'mine.txt');
    await sendMessage(server.api, channelId, bruno, '', { attachmentIds: [own.id] });
    await server.api.call('put', `/api/channels/${channelId}/restrictions/${bruno.id}`, {
      token: ada.token,
      body: { kind: 'banned', reason: 'A test' },
    });
    expect(await statusFor(own, bruno)).toBe(404);
    expect(await statusFor(own, ada)).toBe(200);
  });

  it('is refused to everyone once the message is deleted', async () => {
    const { attachment, message } = await sendFile();
    const link = await linkTo(attachment, ada);
    await server.api.delete(`/api/messages/${message.id}`, ada.token);
    expect(await statusFor(attachment, ada)).toBe(404);
    expect((await download(server, link)).status).toBe(404);
  });

  it('is permitted to readers of any message that has the file', async () => {
    const { attachment, message } = await sendFile();
    const other = await createRoom(server.api, ada, [stranger]);
    const input = { channelId: other.channelId, clientMessageId: randomUUID() };
    const forwarded = await server.api.post(`/api/messages/${message.id}/forward`, input, ada.token);
    for (const person of [bruno, stranger]) expect(await statusFor(attachment, person)).toBe(200);
    await server.api.delete(`/api/messages/${forwarded.body.message.id}`, ada.token);
    expect([await statusFor(attachment, bruno), await statusFor(attachment, stranger)]).toEqual([200, 404]);
  });

  it('is permitted to super admins, and is in the audit log', async () => {
    const { attachment, message } = await sendFile();
    expect(await statusFor(attachment, root)).toBe(200);
    const entries = await auditOf(server, { id: message.id });
    expect(entries).toMatchObject([{ action: 'super_admin.entered', details: { action: 'message.read' } }]);
  });
});

describe('a signed URL for <img>', () => {
  it('serves the file and its thumbnail without a token, and stays the same for some minutes', async () => {
    const { attachment } = await sendFile(await noiseImage(600, 300), 'picture.jpg');
    const link = await linkTo(attachment, bruno);
    expect(link).toMatch(new RegExp(`^/uploads/files/${attachment.id}\\?ticket=`));
    const whole = await download(server, link);
    expect([whole.status, whole.headers.get('content-type'), whole.content.length]).toEqual([
      200,
      'image/jpeg',
      attachment.size,
    ]);
    expect(whole.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
    const small = await download(server, `${link}&thumbnail`);
    expect([small.status, small.headers.get('content-type')]).toEqual([200, 'image/webp']);
    // Unless a five-minute interval ends between the two.
    expect([link, await linkTo(attachment, bruno)]).toContain(await linkTo(attachment, bruno));
  });

  it('expires with the session that requested it', async () => {
    const { attachment } = await sendFile();
    const device = await logInAgain(server.api, bruno);
    const [link, other] = [await linkTo(attachment, device), await linkTo(attachment, bruno)];
    await server.api.post('/api/auth/logout', undefined, device.token);
    const ended = await download(server, link);
    expect([ended.status, codeOf(ended)]).toEqual([401, 'session_revoked']);
    expect((await download(server, other)).status).toBe(200);
  });

  it('expires, and cannot be altered for another file, time or user', async () => {
    const { attachment } = await sendFile();
    const { attachment: another } = await sendFile();
    const link = await linkTo(attachment, bruno);
    const ticket = link.split('ticket=')[1]!;
    const [userId, sessionId, until, seal] = ticket.split('.') as [string, string, string, string];
    const lives = Number(until) - Date.now();
    expect(lives).toBeGreaterThan(4.9 * 60_000);
    expect(lives).toBeLessThan(10 * 60_000);
    const tickets = [
      [ada.id, sessionId, until, seal],
      [userId, ada.id, until, seal],
      [userId, sessionId, String(Number(until) + 1), seal],
      [userId, sessionId, until, 'A'.repeat(43)],
      [userId, sessionId, until],
      ['x'],
    ].map((parts) => parts.join('.'));
    const addresses = [
      ...tickets.map((each) => `/uploads/files/${attachment.id}?ticket=${each}`),
      `/uploads/files/${another.id}?ticket=${ticket}`,
    ];
    for (const address of addresses) {
      const answer = await download(server, address);
      expect([answer.status, codeOf(answer)]).toEqual([401, 'token_invalid']);
    }
    const { services } = server.context;
    jest.useFakeTimers({ now: Number(until) + 1, doNotFake: ['nextTick', 'setImmediate', 'setTimeout'] });
    await expect(services.uploads.openLinked(attachment.id, ticket, false, '')).rejects.toMatchObject({
      code: 'token_expired',
    });
    jest.useRealTimers();
  });

  it('is not issued for a file that the caller cannot read', async () => {
    const { attachment } = await sendFile();
    expect((await download(server, await linkTo(attachment, stranger))).status).toBe(404);
  });
});

describe('a served file', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>';
  const saved: [string, string, string][] = [
    ['SVG', svg, 'logo.svg'],
    ['HTML', '<!doctype html><script>alert(1)</script>', 'page.html'],
    ['a PDF', '%PDF-1.7\n%âãÏÓ\n', 'plan.pdf'],
  ];
  it.each(saved)('is a download (%s) in which no script runs', async (_, content, name) => {
    const { attachment } = await sendFile(content, name);
    for (const path of [pathOf(attachment), await linkTo(attachment, ada)]) {
      const { headers } = await download(server, path, ada);
      expect(headers.get('content-disposition')).toBe(`attachment; filename=${name}`);
      expect(headers.get('content-type')).toMatch(/^(text\/plain|application\/pdf)/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
      expect(headers.get('cache-control')).toBe('private, no-cache');
    }
    const { status } = await download(server, `${pathOf(attachment)}?thumbnail`, ada);
    expect(status).toBe(404);
  });

  it('is shown inline when it is an image, under its own name in any language', async () => {
    const { attachment } = await sendFile(await noiseImage(20, 20), 'Straße "1"\r\n.jpg');
    const { headers } = await download(server, pathOf(attachment), bruno);
    const disposition = headers.get('content-disposition')!;
    expect(disposition).toMatch(/^inline; filename=/);
    expect(disposition).toContain("filename*=UTF-8''Stra%C3%9Fe");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('supports range requests', async () => {
    const { attachment } = await sendFile('0123456789', 'digits.txt');
    const get = (range: string, more: Record<string, string> = {}) =>
      download(server, pathOf(attachment), bruno, { Range: range, ...more });
    const parts: [string, string, string][] = [
      ['bytes=2-4', '234', 'bytes 2-4/10'],
      ['bytes=7-', '789', 'bytes 7-9/10'],
      ['bytes=-2', '89', 'bytes 8-9/10'],
      ['bytes=8-99', '89', 'bytes 8-9/10'],
    ];
    for (const [range, content, described] of parts) {
      const answer = await get(range);
      expect([answer.status, answer.content.toString()]).toEqual([206, content]);
      expect(answer.headers.get('content-range')).toBe(described);
      expect(answer.headers.get('content-length')).toBe(String(content.length));
    }
    for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=x']) {
      const answer = await get(range);
      expect([range, answer.status, answer.content.toString()]).toEqual([range, 200, '0123456789']);
    }
    const beyond = await get('bytes=10-');
    expect([beyond.status, codeOf(beyond)]).toEqual([416, 'range_not_satisfiable']);
    expect(beyond.headers.get('content-range')).toBe('bytes */10');
    const etag = (await get('bytes=0-0')).headers.get('etag')!;
    expect((await get('bytes=0-0', { 'If-Range': etag })).status).toBe(206);
    expect((await get('bytes=0-0', { 'If-Range': '"another"' })).status).toBe(200);
  });

  it('is not sent again to a browser that has it, if the user may still read it', async () => {
    const { attachment, groupId } = await sendFile(await noiseImage(20, 20), 'a.jpg');
    const first = await download(server, pathOf(attachment), bruno);
    const small = await download(server, `${pathOf(attachment)}?thumbnail`, bruno);
    const etag = first.headers.get('etag')!;
    expect(small.headers.get('etag')).not.toBe(etag);
    // A browser's conditional request; fetch() would request the file without a condition.
    const asking = { 'If-None-Match': etag, 'Cache-Control': 'max-age=0' };
    const again = () => download(server, pathOf(attachment), bruno, asking);
    const known = await again();
    expect([known.status, known.content.length]).toEqual([304, 0]);
    const head = await download(server, pathOf(attachment), bruno, {}, 'HEAD');
    expect([head.status, head.content.length]).toEqual([200, 0]);
    expect(head.headers.get('content-length')).toBe(String(attachment.size));
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    expect((await again()).status).toBe(404);
  });

  it('is found only by a well-formed id', async () => {
    for (const id of ['..%2f..%2fjwt-secret', 'x', '0'.repeat(23)]) {
      expect((await download(server, `/api/upload/${id}`, ada)).status).toBe(400);
    }
  });
});
