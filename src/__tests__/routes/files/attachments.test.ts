import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { refused } from '../../fixtures/accounts';
import { postMessage, sendMessage } from '../../fixtures/messages';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';
import { filesOf, storedFiles, upload } from '../../fixtures/uploads';

let server: TestServer;
let ada: Person;
let bruno: Person;
let groupId: string;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ({ ada, bruno } = await signUpAll(server.api, 'root', 'ada', 'bruno'));
});
beforeEach(async () => {
  ({ groupId, channelId } = await createRoom(server.api, ada, [bruno]));
});
afterAll(() => server.close());

const collections = () => server.context.database.collections;
const uploadOf = ({ id }: { id: string }) => collections().uploads.findOne({ _id: new ObjectId(id) });
const attach = (by: Person, ...ids: string[]) =>
  postMessage(server.api, channelId, by, '', { attachmentIds: ids });
const forward = (messageId: string, to: string, by: Person) =>
  server.api.post(
    `/api/messages/${messageId}/forward`,
    { channelId: to, clientMessageId: randomUUID() },
    by.token,
  );
const remove = (messageId: string, by = ada) => server.api.delete(`/api/messages/${messageId}`, by.token);
const refusedAsUsed = refused(409, 'attachment_used');

/** A message of Ada with one file. */
async function sendOne(text = '') {
  const attachment = await upload(server.api, ada);
  const message = await sendMessage(server.api, channelId, ada, text, { attachmentIds: [attachment.id] });
  return { attachment, message };
}

describe('a message with files', () => {
  it('lists their properties wherever the message is read', async () => {
    const device = await connect(server.url, bruno.token);
    const picture = await upload(server.api, ada);
    const note = await upload(server.api, ada, 'hello', 'note.txt');
    const ids = [note.id, picture.id];
    const message = await sendMessage(server.api, channelId, ada, 'Two files', { attachmentIds: ids });
    expect(message.attachments).toEqual([note, picture]);
    const received = await device.waitForMessage(({ message: { id } }) => id === message.id);
    expect(received.message).toEqual(message);
    const { body } = await server.api.get(`/api/channels/${channelId}/messages`, bruno.token);
    expect(body.messages).toEqual([message]);
    const sync = await server.api.post('/api/client/sync', { since: { [channelId]: 0 } }, bruno.token);
    expect(sync.body.channels[0].changes[0].message).toEqual(message);
    device.close();
  });

  it('costs readers no additional query', async () => {
    const watched = await startTestServer({}, { monitorCommands: true });
    const owner = await signUp(watched.api, 'owner');
    const room = await createRoom(watched.api, owner);
    const names: string[] = [];
    watched.context.database.db.client.on('commandStarted', ({ command }) => {
      if (command['find'] ?? command['aggregate']) names.push(command['find'] ?? command['aggregate']);
    });
    const file = await upload(watched.api, owner);
    await sendMessage(watched.api, room.channelId, owner, 'With', { attachmentIds: [file.id] });
    names.length = 0;
    await watched.api.get(`/api/channels/${room.channelId}/messages`, owner.token);
    expect(names).toContain('messages');
    expect(names).not.toContain('uploads');
    await watched.close();
  });

  it('may have no text, over REST and sockets; a message without files may not', async () => {
    const first = await upload(server.api, ada);
    const input = { clientMessageId: randomUUID(), attachmentIds: [first.id] };
    const sent = await server.api.post(`/api/channels/${channelId}/messages`, input, ada.token);
    expect(sent.body.message).toMatchObject({ body: '', attachments: [first] });
    const device = await connect(server.url, ada.token);
    const second = await upload(server.api, ada);
    const payload = { channelId, clientMessageId: randomUUID(), attachmentIds: [second.id] };
    const answer: any = await device.ask('message:send', payload);
    expect(answer.data.message).toMatchObject({ body: '', attachments: [second] });
    const blank = { channelId, clientMessageId: randomUUID(), body: '', attachmentIds: [] };
    const refusal: any = await device.ask('message:send', blank);
    expect(refusal.error).toMatchObject({ code: 'validation_failed', details: [{ path: 'body' }] });
    for (const body of ['', '  ', undefined]) {
      const nothing = { clientMessageId: randomUUID(), body };
      const { status } = await server.api.post(`/api/channels/${channelId}/messages`, nothing, ada.token);
      expect(status).toBe(400);
    }
    device.close();
  });

  it('has at most ten files, and none twice', async () => {
    const files = await Promise.all(Array.from({ length: 11 }, () => upload(server.api, ada, 'x', 'x.txt')));
    const ids = files.map(({ id }) => id);
    expect(await attach(ada, ...ids)).toMatchObject(refused(400, 'validation_failed'));
    expect(await attach(ada, ids[0]!, ids[0]!)).toMatchObject(refused(400, 'validation_failed'));
    expect((await attach(ada, ...ids.slice(0, 10))).status).toBe(201);
  });

  it('returns the original message when it is sent again, and has its files once', async () => {
    const file = await upload(server.api, ada);
    const input = { clientMessageId: randomUUID(), body: 'Once', attachmentIds: [file.id] };
    const path = `/api/channels/${channelId}/messages`;
    const first = await server.api.post(path, input, ada.token);
    const again = await server.api.post(path, input, ada.token);
    expect([first.status, again.status, again.body]).toEqual([201, 200, first.body]);
    const headers = { 'Idempotency-Key': 'send-1' };
    const keyed = {
      ...input,
      clientMessageId: randomUUID(),
      attachmentIds: [(await upload(server.api, ada)).id],
    };
    const send = () => server.api.call('post', path, { token: ada.token, body: keyed, headers });
    const [one, two] = [await send(), await send()];
    expect([one.status, two.status, two.body]).toEqual([201, 201, one.body]);
    const other = { ...input, attachmentIds: [] };
    expect(await server.api.post(path, other, ada.token)).toMatchObject(
      refused(422, 'client_message_id_reused'),
    );
    expect(await uploadOf(file)).toMatchObject({ uses: 1 });
  });
});

describe('attaching a file', () => {
  it('requires an existing file of the sender', async () => {
    const file = await upload(server.api, bruno);
    for (const id of [file.id, new ObjectId().toHexString()]) {
      expect(await attach(ada, id)).toMatchObject(refused(404, 'not_found'));
    }
    expect((await attach(bruno, file.id)).status).toBe(201);
  });

  it('succeeds once, even with two concurrent sends to two channels', async () => {
    const other = await createRoom(server.api, ada);
    for (let round = 0; round < 5; round++) {
      const file = await upload(server.api, ada, 'hello', 'a.txt');
      const more = { attachmentIds: [file.id] };
      const answers = await Promise.all(
        [channelId, other.channelId, channelId, other.channelId].map((id) =>
          postMessage(server.api, id, ada, '', more),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
      expect(answers.find(({ status }) => status === 409)).toMatchObject(refusedAsUsed);
      const having = { 'attachments.uploadId': new ObjectId(file.id) };
      expect(await collections().messages.countDocuments(having)).toBe(1);
      expect(await uploadOf(file)).toMatchObject({ uses: 1 });
    }
    // A refused message leaves nothing behind: the seqs have no gap.
    const messages = await collections()
      .messages.find({ channelId: new ObjectId(channelId) })
      .toArray();
    const channel = await collections().channels.findOne({ _id: new ObjectId(channelId) });
    expect(messages).toHaveLength(channel!.seq);
  });

  it('fails after the file was deleted', async () => {
    const file = await upload(server.api, ada);
    const path = `/api/upload/${file.id}`;
    expect(await server.api.delete(path, bruno.token)).toMatchObject(refused(404, 'not_found'));
    expect((await server.api.delete(path, ada.token)).status).toBe(204);
    expect(await filesOf(server, file)).toEqual([]);
    expect(await attach(ada, file.id)).toMatchObject(refused(404, 'not_found'));
    const { attachment } = await sendOne();
    expect(await server.api.delete(`/api/upload/${attachment.id}`, ada.token)).toMatchObject(refusedAsUsed);
  });
});

describe('messages with files in one batch', () => {
  let devices: Client[];
  beforeEach(async () => {
    devices = await Promise.all([ada, bruno].map(({ token }) => connect(server.url, token)));
  });
  afterEach(() => devices.forEach((device) => device.close()));
  const send = (index: number, ids: string[], more: object = {}) =>
    devices[index]!.ask('message:send', {
      channelId,
      clientMessageId: randomUUID(),
      body: 'hello',
      attachmentIds: ids,
      ...more,
    });

  it('fail alone when their files are not available', async () => {
    const [mine, spare] = [await upload(server.api, ada), await upload(server.api, ada)];
    const foreign = await upload(server.api, bruno);
    const batch = await Promise.all([
      send(0, []),
      send(0, [mine.id]),
      send(1, []),
      send(0, [mine.id]),
      send(0, [foreign.id, spare.id]),
      send(0, [spare.id], { threadId: new ObjectId().toHexString() }),
      send(1, [foreign.id]),
      send(0, [spare.id]),
    ]);
    const outcome = batch.map((answer) => (answer.ok ? 'ok' : answer.error.code));
    expect(outcome).toEqual(['ok', 'ok', 'ok', 'attachment_used', 'not_found', 'not_found', 'ok', 'ok']);
    const messages = await collections()
      .messages.find({ channelId: new ObjectId(channelId) })
      .toArray();
    expect(messages.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  });

  it('are all undone when the write fails midway, and can all be sent again', async () => {
    const file = await upload(server.api, ada);
    const { messages, channels } = collections();
    const blocker = {
      ...(await model()),
      _id: new ObjectId(),
      seq: 3,
      revision: 99,
      clientMessageId: 'blocker',
    };
    await messages.insertOne(blocker);
    const before = await channels.findOne({ _id: new ObjectId(channelId) });
    const again = { clientMessageId: 'again' };
    const failed = await Promise.all([send(0, [file.id], again), send(1, [], again)]);
    expect(failed.filter(({ ok }) => !ok).length).toBeGreaterThan(0);
    expect(await uploadOf(file)).toMatchObject({ uses: failed[0].ok ? 1 : 0 });
    await messages.deleteOne({ _id: blocker._id });
    const answers: any[] = await Promise.all([send(0, [file.id], again), send(1, [], again)]);
    expect(answers.map(({ ok }) => ok)).toEqual([true, true]);
    expect(answers[0].data.message.attachments).toEqual([file]);
    expect(await uploadOf(file)).toMatchObject({ uses: 1 });
    const after = await channels.findOne({ _id: new ObjectId(channelId) });
    expect(after!.seq - before!.seq).toBe(2);
  });

  /** The stored document of the channel's first message. */
  async function model() {
    await sendMessage(server.api, channelId, ada);
    return (await collections().messages.findOne({ channelId: new ObjectId(channelId) }))!;
  }
});

describe('editing a message with files', () => {
  it('keeps the files, and may remove the text', async () => {
    const { attachment, message } = await sendOne('With text');
    const path = `/api/messages/${message.id}`;
    for (const body of ['Another text', '']) {
      const { body: answer } = await server.api.patch(path, { body }, ada.token);
      expect(answer.message).toMatchObject({ body, attachments: [attachment] });
    }
    const edits = await server.api.get(`${path}/edits`, ada.token);
    expect(edits.body.edits.map(({ body }: { body: string }) => body)).toEqual(['Another text', 'With text']);
    const bare = await sendMessage(server.api, channelId, ada, 'Bare');
    const blank = await server.api.patch(`/api/messages/${bare.id}`, { body: '' }, ada.token);
    expect(blank).toMatchObject(refused(400, 'validation_failed'));
    expect(blank.body.error.details).toMatchObject([{ path: 'body' }]);
  });
});

describe('the files of a message are deleted from disk', () => {
  it('when it is deleted, by its author or by a moderator', async () => {
    for (const [author, by] of [
      [ada, ada],
      [bruno, ada],
    ] as const) {
      const attachment = await upload(server.api, author);
      const message = await sendMessage(server.api, channelId, author, 'x', {
        attachmentIds: [attachment.id],
      });
      expect(await filesOf(server, attachment)).toHaveLength(2);
      const { body } = await remove(message.id, by);
      expect(body.message).toMatchObject({ body: '', attachments: [] });
      expect(await filesOf(server, attachment)).toEqual([]);
      expect(await uploadOf(attachment)).toBeNull();
    }
  });

  it('when it exceeds the retention time of its channel', async () => {
    const { attachment, message } = await sendOne();
    const young = await sendOne();
    await collections().messages.updateOne(
      { _id: new ObjectId(message.id) },
      { $set: { createdAt: new Date(Date.now() - 3 * 86_400_000) } },
    );
    const path = `/api/channels/${channelId}/retention`;
    await server.api.call('put', path, { token: ada.token, body: { days: 1 } });
    await until(async () => (await filesOf(server, attachment)).length === 0);
    expect(await uploadOf(attachment)).toBeNull();
    expect(await filesOf(server, young.attachment)).toHaveLength(2);
  });

  it.each(['channel', 'group'])('when its %s is deleted', async (what) => {
    const { attachment } = await sendOne();
    const path = what === 'channel' ? `/api/channels/${channelId}` : `/api/groups/${groupId}`;
    expect((await server.api.delete(path, ada.token)).status).toBe(204);
    await until(async () => (await filesOf(server, attachment)).length === 0);
    expect(await uploadOf(attachment)).toBeNull();
  });

  it('except when its author deletes the account; unsent files are deleted then', async () => {
    const eva = await signUp(server.api, 'eva');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: eva.id }, ada.token);
    const [sent, unsent] = [await upload(server.api, eva), await upload(server.api, eva)];
    const message = await sendMessage(server.api, channelId, eva, '', { attachmentIds: [sent.id] });
    const ended = await server.api.call('delete', '/api/users/me', {
      token: eva.token,
      body: { password: PASSWORD },
    });
    expect(ended.status).toBe(204);
    expect(await filesOf(server, unsent)).toEqual([]);
    const { body } = await server.api.get(`/api/messages/${message.id}`, ada.token);
    expect(body.message.attachments).toEqual([sent]);
    expect(await filesOf(server, sent)).toHaveLength(2);
  });
});

describe('a forwarded message', () => {
  it('has the files too, which are deleted with the last message that has them', async () => {
    const { attachment, message } = await sendOne('Look');
    const other = await createRoom(server.api, ada);
    const first = await forward(message.id, other.channelId, ada);
    const second = await forward(first.body.message.id, channelId, ada);
    for (const { status, body } of [first, second]) {
      expect([status, body.message.attachments]).toEqual([201, [attachment]]);
    }
    expect(await uploadOf(attachment)).toMatchObject({ uses: 3 });
    for (const { id } of [message, second.body.message]) {
      await remove(id);
      expect(await filesOf(server, attachment)).toHaveLength(2);
    }
    await remove(first.body.message.id);
    expect(await filesOf(server, attachment)).toEqual([]);
  });

  it('either has the files or is refused when the original is deleted at the same time', async () => {
    const other = await createRoom(server.api, ada);
    for (let round = 0; round < 5; round++) {
      const { attachment, message } = await sendOne();
      const [, ...forwards] = await Promise.all([
        remove(message.id),
        forward(message.id, other.channelId, ada),
        forward(message.id, other.channelId, ada),
      ]);
      const made = forwards.filter(({ status }) => status === 201);
      for (const answer of forwards) {
        if (answer.status !== 201) expect(answer).toMatchObject(refused(409, 'message_deleted'));
        else expect(answer.body.message.attachments).toEqual([attachment]);
      }
      expect((await uploadOf(attachment))?.uses ?? 0).toBe(made.length);
      expect(await filesOf(server, attachment)).toHaveLength(made.length > 0 ? 2 : 0);
    }
  });

  it('can be deleted at the same time as the original, and the files with both', async () => {
    const other = await createRoom(server.api, ada);
    const { attachment, message } = await sendOne();
    const { body } = await forward(message.id, other.channelId, ada);
    await Promise.all([remove(message.id), remove(body.message.id)]);
    expect(await uploadOf(attachment)).toBeNull();
    expect(await filesOf(server, attachment)).toEqual([]);
  });
});

test('the personal export and the server statistics include the files', async () => {
  const eva = await signUp(server.api, 'eva');
  const attachment = await upload(server.api, eva, 'hello', 'note.txt');
  const text = await (
    await fetch(`${server.url}/api/users/me/export`, { headers: { Authorization: `Bearer ${eva.token}` } })
  ).text();
  const records = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; data: object });
  expect(records.find(({ kind }) => kind === 'upload')?.data).toMatchObject(attachment);
  await server.restart();
  const root = await server.api.post('/api/auth/login', { identifier: 'root1', password: PASSWORD });
  const { body } = await server.api.get('/api/admin/stats', root.body.accessToken);
  expect(body.statistics.storage.files).toBe((await storedFiles(server)).length);
});
