import type { DomainEventType } from '../../services/kernel/domain-events';
import type { BroadcastsOf } from './broadcast.types';
import { callBroadcasts } from './calls';
import { channelBroadcasts } from './channels';
import { groupBroadcasts } from './groups';
import { messageBroadcasts } from './messages';
import { serverBroadcasts } from './server';
import { userBroadcasts } from './users';

/** What clients receive for each type of domain event. Only this folder knows both domain events and wire events. */
export const BROADCASTS: BroadcastsOf<DomainEventType> = {
  ...messageBroadcasts,
  ...groupBroadcasts,
  ...channelBroadcasts,
  ...callBroadcasts,
  ...userBroadcasts,
  ...serverBroadcasts,
};
