import fc from 'fast-check';
import { login } from '../../fixtures/accounts';
import { ManualClock } from '../../fixtures/manual-clock';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { SessionModel, type AccessToken } from '../../fixtures/session-model';

/** By hand: SESSION_MODEL_SECONDS=600; otherwise so many runs of one seed, the same each time. */
const SECONDS = Number(process.env['SESSION_MODEL_SECONDS'] ?? 0);
const RUNS = 12;
const SEED = Number(process.env['SESSION_MODEL_SEED'] ?? 20_261);
const USERS = 3;

let server: TestServer;
let admin: Person;
const clock = new ManualClock();

beforeAll(async () => {
  server = await startTestServer({}, { clock });
  admin = await signUp(server.api, 'admin');
});
afterAll(() => server.close());

type Action =
  | 'log in'
  | 'refresh'
  | 'refresh with a spent token'
  | 'refresh twice at once'
  | 'let time pass'
  | 'log out'
  | 'log out everywhere'
  | 'revoke another session'
  | 'force out'
  | 'suspend'
  | 'restore'
  | 'promote'
  | 'demote'
  | 'call while it ends';

/** One action; `pick` chooses the user or the token. */
interface Step {
  act: Action;
  user: number;
  pick: number;
}

const step = (act: Action, weight = 1) => ({
  weight,
  arbitrary: fc.record({ act: fc.constant(act), user: fc.nat(USERS - 1), pick: fc.nat(1000) }),
});
const steps: fc.Arbitrary<Step> = fc.oneof(
  step('log in', 6),
  step('refresh', 4),
  step('refresh with a spent token', 2),
  step('refresh twice at once'),
  step('let time pass', 2),
  step('log out', 2),
  step('log out everywhere'),
  step('revoke another session', 2),
  step('force out'),
  step('suspend', 2),
  step('restore', 3),
  step('promote', 2),
  step('demote', 2),
  step('call while it ends', 2),
);

const INVALID = 'refresh_token_invalid';
const choose = <Item>(items: Item[], pick: number): Item | undefined => items[pick % items.length];
const call = (path: string, { token }: Pick<AccessToken, 'token'>) => server.api.get(path, token);
const post = (path: string, { token }: Pick<AccessToken, 'token'>, body?: object) =>
  server.api.post(path, body, token);
const refresh = (refreshToken: string) => server.api.post('/api/auth/refresh', { refreshToken });

class Run {
  readonly model = new SessionModel();
  constructor(private readonly people: Person[]) {
    for (const { token, refreshToken } of people) {
      this.model.open(this.model.addUser(), { accessToken: token, refreshToken });
    }
  }

  /** Performs the action on the server and in the model, and compares the answers. */
  async take({ act, user, pick }: Step): Promise<void> {
    const { model } = this;
    const person = this.people[user]!;
    const state = model.users[user]!;
    const access = choose(
      model.accessTokens.filter(({ session }) => session.user === user),
      pick,
    )!;
    const { session } = access;
    const ask = (name: string, body?: object) => post(`/api/admin/users/${person.id}/${name}`, admin, body);
    const setRole = async (role: 'client' | 'super_admin') => {
      const path = `/api/admin/users/${person.id}/role`;
      expect((await server.api.patch(path, { role }, admin.token)).status).toBe(200);
      state.role = role;
    };

    switch (act) {
      case 'log in': {
        const { status, body } = await login(server.api, person);
        expect(status).toBe(model.loginStatus(user));
        if (status === 200) model.open(user, body);
        break;
      }
      case 'refresh':
        await this.refresh(access, session.refreshTokens.at(-1)!);
        break;
      case 'refresh with a spent token':
        await this.refresh(access, choose(session.refreshTokens, pick)!);
        break;
      case 'refresh twice at once': {
        const token = session.refreshTokens.at(-1)!;
        const expected = [model.refresh(session, token)];
        const answers = await Promise.all([refresh(token), refresh(token)]);
        for (const { status, body } of answers) if (status === 200) model.give(session, body);
        // The second of the two was answered within the reuse interval.
        expected.push(model.refresh(session, token));
        expect(expected).toEqual(session.ended ? [INVALID, INVALID] : ['new', 'same']);
        for (const { status } of answers) expect(status).toBe(session.ended ? 401 : 200);
        expect(new Set(answers.map(({ body }) => body.refreshToken)).size).toBe(1);
        break;
      }
      case 'let time pass': {
        const milliseconds = [1_000, 5_000, 9_999, 10_000][pick % 4]!;
        await clock.advance(milliseconds);
        model.now += milliseconds;
        break;
      }
      case 'log out':
        expect((await post('/api/auth/logout', access)).status).toBe(session.ended ? 401 : 204);
        session.ended = true;
        break;
      case 'log out everywhere': {
        const { status } = await post('/api/auth/logout-everywhere', access);
        expect(status).toBe(session.ended ? 401 : 204);
        if (status === 204) model.endAll(user);
        break;
      }
      case 'revoke another session':
        await this.revokeAnother(access, pick);
        break;
      case 'force out':
        expect((await ask('logout')).status).toBe(204);
        model.endAll(user);
        break;
      case 'suspend':
        expect((await ask('suspend', { reason: 'x' })).status).toBe(200);
        state.suspended = true;
        model.endAll(user);
        break;
      case 'restore':
        expect((await ask('restore')).status).toBe(200);
        state.suspended = false;
        break;
      case 'promote':
        await setRole('super_admin');
        break;
      case 'demote':
        await setRole('client');
        break;
      case 'call while it ends': {
        const before = model.accessStatus(access);
        const [during, ended] = await Promise.all([call('/api/auth/me', access), ask('logout')]);
        expect([before, 401]).toContain(during.status);
        expect(ended.status).toBe(204);
        model.endAll(user);
        break;
      }
    }
  }

  /** Checks the validity of every token that was ever issued. */
  async checkAll(): Promise<void> {
    const { accessTokens } = this.model;
    const seen = await Promise.all(
      accessTokens.map(async (access) => [
        (await call('/api/auth/me', access)).status,
        (await call('/api/admin/audit-log?limit=1', access)).status,
      ]),
    );
    const expected = accessTokens.map((each) => [
      this.model.accessStatus(each),
      this.model.adminStatus(each),
    ]);
    expect(seen).toEqual(expected);
  }

  private async refresh({ session }: AccessToken, token: string): Promise<void> {
    const expected = this.model.refresh(session, token);
    const { status, body } = await refresh(token);
    const isSame = body.refreshToken === session.refreshTokens.at(-1);
    expect(status === 200 ? (isSame ? 'same' : 'new') : body.error.code).toBe(expected);
    if (status === 200) this.model.give(session, body);
  }

  private async revokeAnother(access: AccessToken, pick: number): Promise<void> {
    const { status, body } = await call('/api/auth/sessions', access);
    expect(status).toBe(this.model.accessStatus(access));
    if (status !== 200) return;
    const own = this.model.sessions.filter(({ user, ended }) => user === access.session.user && !ended);
    expect(body.sessions).toHaveLength(own.length);
    const target = choose(own, pick)!;
    // Refresh tokens start with the id of their session.
    const id = target.refreshTokens[0]!.split('.')[0]!;
    expect((await server.api.delete(`/api/auth/sessions/${id}`, access.token)).status).toBe(204);
    target.ended = true;
  }
}

test(
  'after any sequence of session actions, the server permits exactly what the model permits',
  async () => {
    let runs = 0;
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40 }), async (script) => {
        const people: Person[] = [];
        for (let index = 0; index < USERS; index++) people.push(await signUp(server.api, 'player'));
        const run = new Run(people);
        for (const each of script) {
          await run.take(each);
          taken++;
          await run.checkAll();
        }
        runs++;
      }),
      {
        seed: SEED,
        endOnFailure: true,
        ...(SECONDS > 0
          ? { numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000 }
          : { numRuns: RUNS }),
      },
    );
    console.info(`sessions: seed ${SEED}, ${runs} runs, ${taken} acts (SESSION_MODEL_SEED chooses another)`);
    expect(taken).toBeGreaterThan(0);
  },
  (SECONDS + 60) * 1000,
);
