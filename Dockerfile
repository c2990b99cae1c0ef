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
# Inside a container the listener must be reachable from outside it. Publish the port on loopback only
# (`-p 127.0.0.1:7171:7171`), or put a proxy that authenticates in front. Names other than `localhost` by which it is
# reached belong into HEADWATER_ALLOWED_HOSTS.
ENTRYPOINT ["headwater"]
CMD ["serve", "--listen", "0.0.0.0:7171", "--insecure-no-auth"]
STOPSIGNAL SIGTERM
