import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { createContext } from '../../../context';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';
import { filesOf, upload } from '../../fixtures/uploads';

let server: TestServer;
let ada: Person;
let bruno: Person;
let groupId: string;
let channelId: string;
let device: Client;

beforeAll(async () => {
  server = await startTestServer();
  const { api } = server;
  ({ ada, bruno } = await signUpAll(api, 'ada', 'bruno'));
  ({ groupId, channelId } = await createRoom(api, ada, [bruno]));
  device = await connect(server.url, bruno.token);
});
afterAll(async () => {
  device.close();
  await server.close();
});

const PATH = '/api/client/scheduled-messages';
const soon = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString();
const collections = () => server.context.database.collections;

async function schedule(body: string, sendAt: string, more: object = {}): Promise<any> {
  const answer = await server.api.post(PATH, { channelId, body, sendAt, ...more }, bruno.token);
  expect(answer.status).toBe(201);
  return answer.body.scheduledMessage;
}

const listed = async (): Promise<any[]> => (await server.api.get(PATH, bruno.token)).body.scheduledMessages;
const sentAs = (id: string) =>
  collections()
    .messages.find({ clientMessageId: `scheduled:${id}` })
    .toArray();
const clear = () => collections().scheduledMessages.deleteMany({ userId: new ObjectId(bruno.id) });

/** Makes a message due now. */
const makeDue = (ids: string[], takenAt: Date | null = null) =>
  collections().scheduledMessages.updateMany(
    { _id: { $in: ids.map((id) => new ObjectId(id)) } },
    { $set: { takenAt, dueAt: new Date(Date.now() - 1) } },
  );
const isRemoved = (id: string) =>
  until(async () => !(await collections().scheduledMessages.findOne({ _id: new ObjectId(id) })), 20_000);

describe('a scheduled message', () => {
  it('is sent once, by one of several nodes', async () => {
    const { config, database } = server.context;
    const nodes = await Promise.all([1, 2].map(() => createContext(config, { database })));
    for (const node of nodes) await node.start();
    const texts = Array.from({ length: 20 }, (_, index) => `later ${index} ${randomUUID()}`);
    const scheduled = await Promise.all(texts.map((text) => schedule(text, soon(3_600_000))));
    expect(await listed()).toHaveLength(20);
    await makeDue(scheduled.map(({ id }) => id));
    for (const { id, body } of scheduled) {
      await isRemoved(id);
      const sent = await sentAs(id);
      expect(sent.map((message) => message.body)).toEqual([body]);
      expect(sent[0]!.senderId.toHexString()).toBe(bruno.id);
    }
    expect(await listed()).toEqual([]);
    for (const node of nodes) await node.close();
  });

  it('is sent at its time, and its user is notified', async () => {
    const at = soon(4_000);
    const { id, body } = await schedule('at the time', at);
    const received = await device.waitFor(
      'scheduled_message:removed',
      (one) => one.scheduledMessageId === id,
    );
    const [sent] = await sentAs(id);
    expect([sent!.body, sent!._id.toHexString()]).toEqual([body, received.messageId]);
    expect(sent!.createdAt.getTime()).toBeGreaterThanOrEqual(new Date(at).getTime());
  });

  it('is not sent again when the node died after sending, before it recorded that', async () => {
    const { id, body } = await schedule('said once', soon(3_600_000));
    const caller = {
      userId: new ObjectId(bruno.id),
      sessionId: new ObjectId(),
      role: 'client' as const,
      address: '',
    };
    const { message } = await server.context.services.messages.send(caller, channelId, {
      clientMessageId: `scheduled:${id}`,
      body,
    });
    // The lease of the dead node has expired.
    await makeDue([id], new Date(Date.now() - 60_000));
    const received = await device.waitFor(
      'scheduled_message:removed',
      (one) => one.scheduledMessageId === id,
    );
    expect(received.messageId).toBe(message.id);
    expect(await sentAs(id)).toHaveLength(1);
  });

  it('counts as sent even if its user has been removed since', async () => {
    const { id, body } = await schedule('before the removal', soon(3_600_000));
    await collections().messages.insertOne({
      _id: new ObjectId(),
      channelId: new ObjectId(),
      seq: 1,
      mainSeq: 1,
      revision: 1,
      senderId: new ObjectId(bruno.id),
      clientMessageId: `scheduled:${id}`,
      sentDigest: '',
      body,
      search: null,
      createdAt: new Date(),
      editedAt: null,
      deletedAt: null,
    });
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    await makeDue([id], new Date(Date.now() - 60_000));
    await device.waitFor('scheduled_message:removed', (one) => one.scheduledMessageId === id);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: bruno.id }, ada.token);
  });

  it('fails when its user may not write any more, reports that, and is retried after a change', async () => {
    const { id } = await schedule('too late', soon(3_600_000));
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    await makeDue([id]);
    const { scheduledMessage } = await device.waitFor(
      'scheduled_message:changed',
      (received) => received.scheduledMessage.id === id && received.scheduledMessage.state === 'failed',
    );
    expect(scheduledMessage.failure).toBe('not_found');
    const { notification } = await device.waitFor(
      'notification:created',
      (received) => received.notification.kind === 'scheduled_message.failed',
    );
    expect(notification).toMatchObject({ channelId, text: 'not_found' });
    expect(await sentAs(id)).toEqual([]);
    expect(await listed()).toMatchObject([{ id, state: 'failed' }]);

    await server.api.post(`/api/groups/${groupId}/members`, { userId: bruno.id }, ada.token);
    const again = await server.api.patch(
      `${PATH}/${id}`,
      { body: 'in time', sendAt: soon(2_000) },
      bruno.token,
    );
    expect(again.body.scheduledMessage).toMatchObject({ state: 'waiting', failure: null });
    await device.waitFor('scheduled_message:removed', (received) => received.scheduledMessageId === id);
    expect((await sentAs(id)).map(({ body }) => body)).toEqual(['in time']);
  });

  it('waits while slow mode would refuse it', async () => {
    const slow = { groupId, name: 'slow', visibility: 'public' };
    const { body } = await server.api.post('/api/channels', slow, ada.token);
    const slowId: string = body.channel.id;
    await collections().channels.updateOne({ _id: new ObjectId(slowId) }, { $set: { slowModeSeconds: 1 } });
    const texts = ['one', 'two'];
    const scheduled = await Promise.all(
      texts.map((text) => schedule(text, soon(3_600_000), { channelId: slowId })),
    );
    await makeDue(scheduled.map(({ id }) => id));
    for (const { id } of scheduled) {
      await device.waitFor('scheduled_message:removed', (received) => received.scheduledMessageId === id);
    }
    const sent = await collections()
      .messages.find({ channelId: new ObjectId(slowId) })
      .sort({ seq: 1 })
      .toArray();
    expect(sent).toHaveLength(2);
    expect(sent[1]!.createdAt.getTime() - sent[0]!.createdAt.getTime()).toBeGreaterThanOrEqual(1000);
  });

  it('can be changed and deleted until it is sent, by its user only', async () => {
    const { id } = await schedule('first', soon(3_600_000));
    const later = soon(120_000);
    const changed = await server.api.patch(`${PATH}/${id}`, { sendAt: later }, bruno.token);
    expect(changed.body.scheduledMessage).toMatchObject({ body: 'first', sendAt: later });
    expect((await server.api.patch(`${PATH}/${id}`, { body: 'mine' }, ada.token)).status).toBe(404);
    expect((await server.api.delete(`${PATH}/${id}`, ada.token)).status).toBe(404);
    await collections().scheduledMessages.updateOne(
      { _id: new ObjectId(id) },
      { $set: { takenAt: new Date() } },
    );
    for (const answer of [
      await server.api.patch(`${PATH}/${id}`, { body: 'late' }, bruno.token),
      await server.api.delete(`${PATH}/${id}`, bruno.token),
    ]) {
      expect([answer.status, answer.body.error.code]).toEqual([409, 'being_sent']);
    }
    await collections().scheduledMessages.updateOne({ _id: new ObjectId(id) }, { $set: { takenAt: null } });
    expect((await server.api.delete(`${PATH}/${id}`, bruno.token)).status).toBe(204);
    const received = await device.waitFor(
      'scheduled_message:removed',
      (one) => one.scheduledMessageId === id,
    );
    expect(received.messageId).toBeNull();
    expect((await server.api.delete(`${PATH}/${id}`, bruno.token)).status).toBe(404);
  });

  it('is limited in number and time', async () => {
    await clear();
    const refused = async (input: object) => {
      const body = { channelId, body: 'x', sendAt: soon(3_600_000), ...input };
      const answer = await server.api.post(PATH, body, bruno.token);
      return [answer.status, answer.body.error.code];
    };
    expect(await refused({ sendAt: soon(-1) })).toEqual([400, 'validation_failed']);
    expect(await refused({ sendAt: soon(367 * 86_400_000) })).toEqual([400, 'validation_failed']);
    expect(await refused({ channelId: '0'.repeat(24) })).toEqual([404, 'not_found']);
    const template = await schedule('template', soon(3_600_000));
    const document = await collections().scheduledMessages.findOne({ _id: new ObjectId(template.id) });
    await collections().scheduledMessages.insertMany(
      Array.from({ length: 98 }, () => ({ ...document!, _id: new ObjectId() })),
    );
    await schedule('the hundredth', soon(3_600_000));
    expect(await refused({})).toEqual([409, 'too_many_scheduled']);
    await clear();
  });

  it('is deleted with the account', async () => {
    const leaver = await signUp(server.api, 'leaver');
    await server.api.post(`/api/groups/${groupId}/members`, { userId: leaver.id }, ada.token);
    const input = { channelId, body: 'never', sendAt: soon(3_600_000) };
    await server.api.post(PATH, input, leaver.token);
    await server.api.call('delete', '/api/users/me', {
      token: leaver.token,
      body: { password: 'correct horse battery' },
    });
    await until(
      async () => !(await collections().scheduledMessages.findOne({ userId: new ObjectId(leaver.id) })),
    );
  });
});

describe('the files of a scheduled message', () => {
  const uploads = () => collections().uploads;

  it('are sent with it, however long it takes, and with nothing else', async () => {
    const files = [await upload(server.api, bruno), await upload(server.api, bruno, 'hello', 'note.txt')];
    const attachmentIds = files.map(({ id }) => id);
    const scheduled = await schedule('', soon(3_600_000), { attachmentIds });
    expect(scheduled).toMatchObject({ body: '', attachments: files });
    const [listedOne] = await listed();
    expect(listedOne.attachments).toEqual(files);
    await uploads().updateMany({}, { $set: { createdAt: new Date(Date.now() - 3 * 86_400_000) } });
    await server.restart();
    expect(await filesOf(server, files[0]!)).toHaveLength(2);
    const taken = { clientMessageId: randomUUID(), attachmentIds };
    const sent = await server.api.post(`/api/channels/${channelId}/messages`, taken, bruno.token);
    expect(sent.body.error.code).toBe('attachment_used');
    const again = await server.api.post(
      PATH,
      { channelId, attachmentIds, sendAt: soon(3_600_000) },
      bruno.token,
    );
    expect([again.status, again.body.error.code]).toEqual([409, 'attachment_used']);
    const taking = await server.api.delete(`/api/upload/${attachmentIds[0]}`, bruno.token);
    expect(taking.body.error.code).toBe('attachment_used');
    await makeDue([scheduled.id]);
    await isRemoved(scheduled.id);
    const [message] = await sentAs(scheduled.id);
    expect(message!.attachments!.map(({ uploadId }) => uploadId.toHexString())).toEqual(attachmentIds);
    for (const _id of attachmentIds.map((id) => new ObjectId(id))) {
      expect(await uploads().findOne({ _id })).toMatchObject({ uses: 1, reservedFor: null });
    }
  });

  it('are deleted when it is cancelled', async () => {
    const file = await upload(server.api, bruno);
    const { id } = await schedule('With a file', soon(3_600_000), { attachmentIds: [file.id] });
    const changed = await server.api.patch(`${PATH}/${id}`, { body: '' }, bruno.token);
    expect(changed.body.scheduledMessage).toMatchObject({ body: '', attachments: [file] });
    expect((await server.api.delete(`${PATH}/${id}`, bruno.token)).status).toBe(204);
    expect(await filesOf(server, file)).toEqual([]);
    expect(await uploads().findOne({ _id: new ObjectId(file.id) })).toBeNull();
  });

  it('belong to its user, and may replace the text', async () => {
    const foreign = await upload(server.api, ada);
    const input = { channelId, sendAt: soon(3_600_000) };
    const theirs = await server.api.post(PATH, { ...input, attachmentIds: [foreign.id] }, bruno.token);
    expect([theirs.status, theirs.body.error.code]).toEqual([404, 'not_found']);
    const blank = await server.api.post(PATH, input, bruno.token);
    expect([blank.status, blank.body.error.details[0].path]).toEqual([400, 'body']);
    const { id } = await schedule('text', soon(3_600_000));
    const emptied = await server.api.patch(`${PATH}/${id}`, { body: '' }, bruno.token);
    expect([emptied.status, emptied.body.error.details[0].path]).toEqual([400, 'body']);
    await clear();
  });
});
