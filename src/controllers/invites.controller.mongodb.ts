import type { PageQuery } from '../models/kernel/common.model';
import type { CreateInviteInput } from '../models/groups/invite.model';
import type { InviteService } from '../services/groups/invite.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type InviteParams = { inviteId: string };

export function createInvitesController(invites: InviteService) {
  return {
    create: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, CreateInviteInput>): Promise<Reply> => ({
      status: 201,
      body: await invites.create(caller, params.groupId, body),
    }),
    list: async ({ caller, params, query }: CallerRequest<GroupParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await invites.list(caller, params.groupId, query);
      return { status: 200, body: { invites: items, nextCursor } };
    },
    revoke: async ({ caller, params }: CallerRequest<GroupParams & InviteParams>): Promise<Reply> => {
      await invites.revoke(caller, params.groupId, params.inviteId);
      return { status: 204 };
    },
    accept: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, { code: string }>): Promise<Reply> => ({
      status: 200,
      body: { group: await invites.accept(caller, body.code) },
    }),
    listMine: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await invites.listMine(caller, query);
      return { status: 200, body: { invites: items, nextCursor } };
    },
    acceptMine: async ({ caller, params }: CallerRequest<InviteParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await invites.acceptMine(caller, params.inviteId) },
    }),
    declineMine: async ({ caller, params }: CallerRequest<InviteParams>): Promise<Reply> => {
      await invites.declineMine(caller, params.inviteId);
      return { status: 204 };
    },
  };
}
