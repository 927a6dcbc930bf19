import { ObjectId } from 'mongodb';
import { refused } from '../../fixtures/accounts';
import { PASSWORD, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ada = await signUp(server.api, 'ada');
});
afterAll(() => server.close());

const PATH = '/api/client/preferences';
const get = () => server.api.get(PATH, ada.token);
const set = (fields: object) => server.api.patch(PATH, fields, ada.token);
const refusedInput = refused(400, 'validation_failed');

const DEFAULTS = {
  notificationLevel: 'all',
  doNotDisturbUntil: null,
  sendReadReceipts: true,
  groupAdditions: 'anyone',
  invisible: false,
  locale: 'en',
  extras: {},
};

describe('preferences', () => {
  it('have defaults and change field by field', async () => {
    expect((await get()).body.preferences).toEqual(DEFAULTS);
    const until = '2999-01-01T00:00:00.000Z';
    await set({ notificationLevel: 'mentions', doNotDisturbUntil: until });
    const changed = { ...DEFAULTS, notificationLevel: 'mentions', doNotDisturbUntil: until, invisible: true };
    expect((await set({ invisible: true })).body.preferences).toEqual(changed);
    expect((await get()).body.preferences).toEqual(changed);
    expect((await set({ doNotDisturbUntil: null })).body.preferences.doNotDisturbUntil).toBeNull();
  });

  it("are sent to the user's other devices", async () => {
    const phone = await connect(server.url, ada.token);
    const received = new Promise((resolve) => phone.socket.once('preferences:updated', resolve));
    await set({ locale: 'pt-BR' });
    expect(await received).toEqual({ preferences: { ...DEFAULTS, locale: 'pt-BR' } });
    phone.close();
  });

  it('leave out a do-not-disturb time that has passed', async () => {
    const { body } = await set({ doNotDisturbUntil: new Date(Date.now() - 1000).toISOString() });
    expect(body.preferences.doNotDisturbUntil).toBeNull();
  });

  it("preserve the client's own settings, whatever they mean to a database", async () => {
    const text = '{"$set":{"a.b":[1,null],"__proto__":{"x":1}},"":true,"theme":"dark"}';
    const { status, body } = await set({ extras: JSON.parse(text) });
    expect(status).toBe(200);
    expect(JSON.stringify(body.preferences.extras)).toBe(text);
    expect(JSON.stringify((await get()).body.preferences.extras)).toBe(text);
    expect((await set({ extras: {} })).body.preferences.extras).toEqual({});
  });

  it('refuse values that are too big, too deep, or not a language', async () => {
    const ofSize = (bytes: number) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) });
    expect((await set({ extras: ofSize(8192) })).status).toBe(200);
    expect(await set({ extras: ofSize(8193) })).toMatchObject(refusedInput);
    expect(await set({ extras: { a: 'é'.repeat(5000) } })).toMatchObject(refusedInput);
    // As raw text, because the client could not encode it either.
    const deep = `{"extras":${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}}`;
    const headers = { 'Content-Type': 'application/json' };
    const answer = await server.api.call('patch', PATH, { token: ada.token, body: deep, headers });
    expect(answer).toMatchObject(refusedInput);
    expect(await set({ locale: 'klingon!' })).toMatchObject(refusedInput);
    expect(await set({})).toMatchObject(refusedInput);
  });

  it('are deleted with the account', async () => {
    await set({ locale: 'pt' });
    const { preferences } = server.context.database.collections;
    const own = { _id: new ObjectId(ada.id) };
    expect(await preferences.countDocuments(own)).toBe(1);
    await server.api.call('delete', '/api/users/me', { token: ada.token, body: { password: PASSWORD } });
    expect(await preferences.countDocuments(own)).toBe(0);
  });
});
