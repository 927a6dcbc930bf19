import { ObjectId } from 'mongodb';
import type { ExplainQuery, Explanation } from '../../models/access/permission.model';
import type { Caller } from '../../models/identity/session.model';
import { stateOf } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import { ACTIONS_ON, type Action } from '../access/access-actions';
import type { UserService } from '../user.service';

type Kind = 'group' | 'channel' | 'message';

/** Explains to super admins why a user may or may not do something, by the same rules that decide it. */
export class PermissionService {
  constructor(
    private readonly access: Access,
    private readonly users: UserService,
  ) {}

  /**
   * Returns the decision on an action of a user, with the rule that decides it.
   * @throws AppError forbidden, not_found (the user or the resource), validation_failed for an action that does not
   * exist on such a resource
   */
  async explain(caller: Caller, query: ExplainQuery): Promise<Explanation> {
    this.access.requireSuperAdmin(caller);
    const [kind, id] = (query.resource?.split(':') ?? []) as [Kind?, string?];
    const actions: readonly string[] = ACTIONS_ON[kind ?? 'server'];
    if (!actions.includes(query.action)) {
      const message = `must be one of ${actions.join(', ')}`;
      throw new AppError('validation_failed', `action: ${message}`, [{ path: 'action', message }]);
    }
    const user = await this.users.requireUser(query.userId);
    const explained = await this.access.explain(
      { id: user._id, role: user.role, state: stateOf(user) },
      query.action as Action,
      kind && { kind, id: new ObjectId(id) },
      {
        ...(query.subjectId && { subjectId: new ObjectId(query.subjectId) }),
        ...(query.newRole && { newRole: query.newRole }),
      },
    );
    if (!explained) throw new AppError('not_found', `There is no such ${kind}.`);
    const { decision } = explained;
    return {
      allowed: decision.allowed,
      rule: decision.rule,
      says: decision.description,
      code: decision.allowed ? null : decision.code,
      overrides: decision.allowed ? (decision.overrides ?? null) : null,
    };
  }
}
