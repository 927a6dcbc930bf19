# The image of Parley: Node.js, the compiled server and its libraries. docs/deploy.md says how to run it.
#
#   docker build -t parley .
#
# Parley supports Node.js 20.19 and newer; 24 is the release with long-term support.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# The libraries come first, so that they are installed again only when they change.
COPY package.json package-lock.json ./
COPY packages/embedded-store/package.json packages/embedded-store/
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY tools/build.mjs tools/
COPY packages/embedded-store packages/embedded-store
COPY src src
RUN npm run build
# What only the build needs. The scripts of package.json build nothing where there is no src.
RUN npm prune --omit=dev --no-audit --no-fund \
  && rm -rf src packages/embedded-store/src packages/embedded-store/bench packages/embedded-store/__tests__ tsconfig*.json
COPY deploy/health-check.mjs deploy/

FROM ${NODE_IMAGE}
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 DATA_DIR=/data UPLOAD_DIR=/uploads
WORKDIR /app
# The program belongs to root, so the user of the server cannot change it.
COPY --from=build /app ./
RUN install -d -o node -g node -m 0700 /data /uploads
USER node
VOLUME ["/data", "/uploads"]
EXPOSE 3000
# Node.js runs without npm and a shell, so it receives SIGTERM itself. It starts no processes that an init would have to
# collect.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "deploy/health-check.mjs"]
CMD ["node", "--max-semi-space-size=32", "dist/server.js"]
