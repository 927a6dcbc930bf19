import type { Services } from '../context';
import { createAuthController } from '../controllers/auth.controller.mongodb';
import { refreshInput } from '../models/session.model';
import { credentialsReply, loginInput, registerInput, userReply } from '../models/user.model';
import { callerRoute, publicRoute, type ApiRoute } from './api-route';

export function authRoutes(service: Services['auth']): ApiRoute[] {
  const auth = createAuthController(service);
  const tag = 'Authentication';
  return [
    publicRoute({
      method: 'post',
      path: '/api/auth/register',
      operationId: 'register',
      tag,
      summary: 'Make an account and log in. The first account of an installation is super admin.',
      body: registerInput,
      replies: { 201: { description: 'The account and its first tokens.', schema: credentialsReply } },
      handle: auth.register,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/login',
      operationId: 'login',
      tag,
      summary: 'Log in with the username or the e-mail address.',
      body: loginInput,
      replies: { 200: { description: 'Tokens of a new session.', schema: credentialsReply } },
      handle: auth.login,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/refresh',
      operationId: 'refresh',
      tag,
      summary:
        'Exchange the refresh token for a new pair. The old one is spent; used again, it ends the session.',
      body: refreshInput,
      replies: { 200: { description: 'The new pair.', schema: credentialsReply } },
      handle: auth.refresh,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/logout',
      operationId: 'logout',
      tag,
      summary: 'End the session: its tokens are refused and its sockets closed.',
      replies: { 204: { description: 'The session has ended.' } },
      handle: auth.logout,
    }),
    callerRoute({
      method: 'get',
      path: '/api/auth/me',
      operationId: 'me',
      tag,
      summary: 'Who am I?',
      replies: { 200: { description: 'The caller.', schema: userReply } },
      handle: auth.me,
    }),
  ];
}
