# Build stage: the toolchain of rust-toolchain.toml.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p headwater-server --bin headwater \
    && cargo build --profile release-small --locked -p headwater-client --features agent

# Run stage. `git` serves local paths and compacts the mirror, `openssh-client` fetches over ssh; https needs neither.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/headwater headwater
COPY --from=build /src/target/release/headwater /src/target/release-small/headwater-agent /usr/local/bin/
USER headwater
WORKDIR /var/lib/headwater
VOLUME /var/lib/headwater
ENV HEADWATER_DATA_DIR=/var/lib/headwater/data \
    HEADWATER_LOG_FORMAT=json
EXPOSE 7171
# Inside a container the listener must be reachable from outside it, so it asks who asks: put a file of tokens there
# (`headwater token create --file tokens.toml`) and name it by HEADWATER_TOKENS_FILE, or start it with `--insecure-no-auth` where nobody else can reach it, as
# behind `-p 127.0.0.1:7171:7171`. Names other than `localhost` by which it is reached belong into HEADWATER_ALLOWED_HOSTS.
# It needs no shell, no capability, and nothing to write to but the volume: `--read-only --cap-drop ALL` is well.
ENTRYPOINT ["headwater"]
CMD ["serve", "--listen", "0.0.0.0:7171"]
STOPSIGNAL SIGTERM
