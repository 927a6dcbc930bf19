import type { GroupParams } from '../models/group.model';
import type { PageQuery } from '../models/kernel/common.model';
import type {
  AcceptInviteInput,
  CreateInviteInput,
  GroupInviteParams,
  InviteParams,
} from '../models/groups/invite.model';
import type { InviteService } from '../services/groups/invite.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createInvitesController(invites: InviteService) {
  return {
    create: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupParams; body: CreateInviteInput }>) =>
      reply(201, await invites.create(caller, params.groupId, body)),
    list: async ({ caller, params, query }: CallerRequest<{ params: GroupParams; query: PageQuery }>) => {
      const { items, nextCursor } = await invites.list(caller, params.groupId, query);
      return reply(200, { invites: items, nextCursor });
    },
    revoke: async ({ caller, params }: CallerRequest<{ params: GroupInviteParams }>) => {
      await invites.revoke(caller, params.groupId, params.inviteId);
      return reply(204);
    },
    accept: async ({ caller, body }: CallerRequest<{ body: AcceptInviteInput }>) =>
      reply(200, { group: await invites.accept(caller, body.code) }),
    listMine: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await invites.listMine(caller, query);
      return reply(200, { invites: items, nextCursor });
    },
    acceptMine: async ({ caller, params }: CallerRequest<{ params: InviteParams }>) =>
      reply(200, { group: await invites.acceptMine(caller, params.inviteId) }),
    declineMine: async ({ caller, params }: CallerRequest<{ params: InviteParams }>) => {
      await invites.declineMine(caller, params.inviteId);
      return reply(204);
    },
  };
}
