import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ObjectId, type Document } from 'mongodb';
import { auditEntrySchema } from '../../../models/audit/audit.model';
import { ChainVerifier, hashOf } from '../../../services/audit/audit-chain';
import { refused } from '../../fixtures/accounts';
import type { Answer } from '../../fixtures/api';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { fetchNdjson } from '../../fixtures/ndjson';
import { runScript } from '../../fixtures/process';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let admin: Person;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ admin, ada } = await signUpAll(server.api, 'admin', 'ada'));
});
afterAll(() => server.close());

const verify = (anchor?: { seq: number; hash: string }) => server.context.services.audit.verify(anchor);
const list = (query: object = {}): Promise<Answer> =>
  server.api.get('/api/admin/audit-log', admin.token, query as Record<string, unknown>);
/** Changes that a person with access to the database can make, but the services cannot. */
const stored = () => server.context.database.db.collection('audit_log');
const head = () => server.context.database.db.collection<{ _id: string; seq?: number }>('installation');

async function act(role = 'group_admin'): Promise<void> {
  const path = `/api/admin/users/${ada.id}/role`;
  expect((await server.api.patch(path, { role }, admin.token)).status).toBe(200);
}

describe('the hash chain', () => {
  it('is intact after fifty concurrent privileged actions, in and outside of transactions', async () => {
    const { groupId } = await createRoom(server.api, ada);
    const before = (await verify()).end.seq;
    const acts = Array.from({ length: 50 }, (_, index) =>
      index % 2 === 0 ? act() : server.api.get(`/api/groups/${groupId}`, admin.token),
    );
    await Promise.all(acts);
    const { end, broken } = await verify();
    expect(broken).toBeUndefined();
    expect(end.seq).toBe(before + 50);
    const entries = await stored().find().sort({ seq: 1 }).toArray();
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1));
    expect(entries.filter(({ action }) => action === 'super_admin.entered')).toHaveLength(25);
  }, 60_000);

  it('has neither an entry nor a gap for an action that was rolled back', async () => {
    const { transactions } = server.context.database;
    const before = (await verify()).end;
    const failed = transactions.run(async () => {
      await server.context.services.audit.record({
        action: 'user.restored',
        actorId: null,
        targetId: null,
        address: '',
      });
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    expect(await verify()).toEqual({ end: before, broken: undefined });
  });

  it('continues from the newest entry when the head is outdated or missing', async () => {
    await act();
    await head().updateOne({ _id: 'audit_head' }, { $set: { seq: 1 } });
    await act();
    await head().deleteOne({ _id: 'audit_head' });
    await act();
    expect((await verify()).broken).toBeUndefined();
    expect((await head().findOne({ _id: 'audit_head' }))!.seq).toBe((await verify()).end.seq);
  });
});

describe('protection against changes', () => {
  it('no route changes or removes an entry', async () => {
    const [entry] = (await list()).body.entries;
    for (const method of ['post', 'put', 'patch', 'delete'] as const) {
      for (const path of ['/api/admin/audit-log', `/api/admin/audit-log/${entry.id}`]) {
        const answer = await server.api.call(method, path, { token: admin.token, body: {} });
        expect(answer).toMatchObject(refused(404, 'route_not_found'));
      }
    }
  });

  it('services can only add and read entries', () => {
    const { auditLog } = server.context.database.collections;
    expect(Object.keys(auditLog).sort()).toEqual(['countDocuments', 'find', 'findOne', 'insertOne']);
  });
});

describe('tampering', () => {
  /** Changes the log, checks that this is detected, and reverts the change. */
  async function findings(tamper: (entries: Document[]) => Promise<void>) {
    await act();
    await act();
    await act();
    const { end } = await verify();
    const entries = await stored().find().sort({ seq: 1 }).toArray();
    const headBefore = (await head().findOne({ _id: 'audit_head' }))!;
    await tamper(entries);
    const alone = (await verify()).broken;
    const anchored = (await verify(end)).broken;
    await stored().deleteMany({});
    await stored().insertMany(entries);
    await head().replaceOne({ _id: 'audit_head' }, headBefore);
    expect((await verify(end)).broken).toBeUndefined();
    return { alone, anchored, last: end.seq };
  }
  const seal = (entry: Document) => {
    const { _id, actorId, targetId, ...rest } = entry;
    const text = (id: ObjectId | null) => id?.toHexString() ?? null;
    const ids = { id: _id.toHexString(), actorId: text(actorId), targetId: text(targetId) };
    return hashOf({ ...rest, ...ids, at: entry['at'].toISOString() } as never);
  };
  const replace = (entry: Document) => stored().replaceOne({ _id: entry['_id'] }, entry);

  it.each<[string, Document]>([
    ['the actor', { actorId: new ObjectId() }],
    ['the target', { targetId: null }],
    ['the action', { action: 'user.restored' }],
    ['the time', { at: new Date(0) }],
    ['the address', { address: '10.0.0.1' }],
    ['the details', { details: { role: 'client' } }],
    ['the id', {}],
    ['a field that entries do not have', { note: 'x' }],
    ['a field of another type', { at: 'yesterday' }],
  ])('detects a changed entry: %s', async (name, change) => {
    const { alone, last } = await findings(async (entries) => {
      const entry = entries.at(-2)!;
      await stored().deleteOne({ _id: entry['_id'] });
      const _id = name === 'the id' ? new ObjectId() : entry['_id'];
      await stored().insertOne({ ...entry, ...change, _id });
    });
    expect(alone).toMatchObject({ seq: last - 1 });
  });

  it('detects a changed entry with a recomputed hash, at the next entry', async () => {
    const { alone, last } = await findings(async (entries) => {
      const entry = { ...entries.at(-2)!, details: { role: 'client' } };
      await replace({ ...entry, hash: seal(entry) });
    });
    expect(alone).toEqual({ seq: last, reason: 'it does not follow the entry before it' });
  });

  it('detects the newest entry when changed with a recomputed hash', async () => {
    const { alone } = await findings(async (entries) => {
      const entry = { ...entries.at(-1)!, details: { role: 'client' } };
      await replace({ ...entry, hash: seal(entry) });
    });
    expect(alone?.reason).toBe('it is not the entry that was added last');
  });

  it('detects by the anchor that the end of the chain was recomputed with the head', async () => {
    const { alone, anchored, last } = await findings(async (entries) => {
      let previousHash = entries.at(-4)!['hash'];
      for (const entry of entries.slice(-3)) {
        const forged: Document = { ...entry, details: { role: 'client' }, previousHash };
        previousHash = forged['hash'] = seal(forged);
        await replace(forged);
      }
      await head().updateOne({ _id: 'audit_head' }, { $set: { hash: previousHash } });
    });
    expect([alone, anchored]).toEqual([undefined, { seq: last, reason: 'it does not match the anchor' }]);
  });

  it('detects an entry removed from the middle', async () => {
    const { alone, last } = await findings(async (entries) => {
      await stored().deleteOne({ _id: entries.at(-2)!['_id'] });
    });
    expect(alone).toEqual({ seq: last - 1, reason: `it is missing; entry ${last} follows` });
  });

  it('detects that the first entry was removed', async () => {
    const { alone } = await findings(async (entries) => {
      await stored().deleteOne({ _id: entries[0]!['_id'] });
    });
    expect(alone).toMatchObject({ seq: 1 });
  });

  it('detects that the newest entries were removed; by the anchor if the head was changed as well', async () => {
    const naive = await findings(async (entries) => {
      await stored().deleteOne({ _id: entries.at(-1)!['_id'] });
    });
    expect(naive.alone).toMatchObject({ seq: naive.last });
    const { alone, anchored, last } = await findings(async (entries) => {
      const { seq, hash } = entries.at(-2)!;
      await stored().deleteOne({ _id: entries.at(-1)!['_id'] });
      await head().updateOne({ _id: 'audit_head' }, { $set: { seq, hash } });
    });
    expect(alone).toBeUndefined();
    expect(anchored).toEqual({ seq: last, reason: `the log ends before the anchor, entry ${last}` });
  });

  it('detects an inserted entry', async () => {
    const { alone, last } = await findings(async (entries) => {
      const before = entries.at(-2)!;
      const forged: Document = { ...before, _id: new ObjectId(), previousHash: before['hash'] };
      const last = entries.at(-1)!;
      await replace({ ...last, seq: last['seq'] + 1 });
      forged['seq'] = last['seq'];
      await stored().insertOne({ ...forged, hash: seal(forged) });
    });
    expect(alone).toEqual({ seq: last + 1, reason: 'its hash does not match its content' });
  });
});

describe('the export', () => {
  it('contains the whole chain, oldest first, with the export as its last entry', async () => {
    const { status, records } = await fetchNdjson(server, '/api/admin/audit-log/export', admin.token);
    expect(status).toBe(200);
    const verifier = new ChainVerifier();
    for (const record of records) expect(verifier.add(auditEntrySchema.parse(record))).toBeUndefined();
    expect(verifier.finish()).toBeUndefined();
    expect(records.at(-1)).toMatchObject({ action: 'audit_log.exported', actorId: admin.id, targetId: null });
    expect(records).toHaveLength(await stored().countDocuments());
  });

  it('is checked by npm run audit:verify, which names the first broken entry', async () => {
    const { records } = await fetchNdjson(server, '/api/admin/audit-log/export', admin.token);
    const { dataDir } = server.context.config;
    const file = join(dataDir, 'audit.ndjson');
    const write = (entries: object[]) =>
      writeFile(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    const run = (...more: string[]) => runScript('audit:verify', ['--file', file, ...more], dataDir);
    const last = records.at(-1)! as { seq: number; hash: string };
    const anchor = `${last.seq}:${last.hash}`;
    await write(records);
    expect(await run()).toEqual({
      code: 0,
      stdout: `The audit log is intact: ${last.seq} entries.\nAnchor ${anchor}`,
      stderr: '',
    });
    await write(records.slice(0, -1));
    expect(await run('--anchor', anchor)).toMatchObject({
      code: 1,
      stderr: `The audit log is broken at entry ${last.seq}: the log ends before the anchor, entry ${last.seq}.`,
    });
    await write(records.map((record, index) => (index === 1 ? { ...record, address: 'elsewhere' } : record)));
    expect(await run('--anchor', anchor)).toMatchObject({
      code: 1,
      stderr: 'The audit log is broken at entry 2: its hash does not match its content.',
    });
    expect((await run('--anchor', '12')).stderr).toMatch(/--anchor requires the number and the hash/);
  }, 60_000);
});

describe('the list of audit entries', () => {
  it('is filtered by action, actor, target and time, and has pages', async () => {
    const target = await signUp(server.api, 'target');
    const path = `/api/admin/users/${target.id}`;
    await server.api.post(`${path}/suspend`, { reason: 'x' }, admin.token);
    await server.api.post(`${path}/restore`, undefined, admin.token);
    await server.api.post(`${path}/suspend`, { reason: 'y' }, admin.token);
    const actions = async (query: object) =>
      (await list(query)).body.entries.map(({ action }: { action: string }) => action);
    const targetId = target.id;
    expect(await actions({ targetId })).toEqual(['user.suspended', 'user.restored', 'user.suspended']);
    expect(await actions({ targetId, action: 'user.restored' })).toEqual(['user.restored']);
    expect(await actions({ targetId, actorId: admin.id })).toHaveLength(3);
    expect(await actions({ targetId, actorId: target.id })).toEqual([]);
    const [newest, middle] = (await list({ targetId })).body.entries;
    expect(await actions({ targetId, from: middle.at, to: newest.at })).not.toContain(newest.action);
    expect(await actions({ from: '2999-01-01T00:00:00Z' })).toEqual([]);
    expect(await actions({ targetId, to: '2000-01-01T00:00:00Z' })).toEqual([]);

    const first = (await list({ targetId, limit: 2 })).body;
    const second = (await list({ targetId, limit: 2, cursor: first.nextCursor })).body;
    expect([...first.entries, ...second.entries]).toEqual((await list({ targetId })).body.entries);
    expect(second.nextCursor).toBeNull();
  });

  it.each([{ action: 'nothing' }, { from: 'yesterday' }, { cursor: 'x' }, { actorId: '1' }])(
    'refuses %j',
    async (query) => expect(await list(query)).toMatchObject(refused(400, 'validation_failed')),
  );
});
