# A static binary in an empty image. Classic syntax: any engine builds it, without a frontend to fetch.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# Static, since an empty image has no libc to load. cargo keeps these flags from macros and build scripts, which have
# to be loadable, only where a target is named, even if it is the machine that builds: hence the --target below, which
# is this machine's whatever it is.
ENV RUSTFLAGS="-C target-feature=+crt-static"
# The dependencies by themselves: this layer lasts until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --locked --release --bin keyward --target "$(rustc --print host-tuple)" \
    && rm -r src
COPY src src
# A file may be older than what stood in for it, and cargo goes by time.
RUN touch src/main.rs src/lib.rs \
    && cargo build --locked --release --bin keyward --target "$(rustc --print host-tuple)" \
    && mkdir -p /image/usr/bin /image/etc/ssl/certs \
    && cp "target/$(rustc --print host-tuple)/release/keyward" /image/usr/bin/ \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && install -d -m 0755 /owned/config \
    && install -d -m 0700 /owned/data \
    && install -d -m 1777 /owned/tmp

FROM scratch
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="keyward" \
      org.opencontainers.image.description="A local HTTP gateway that keeps the keys to the devices of a home or a building" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# keyward's own roots are built in; the usual file is here for whoever puts another program on top.
COPY --from=build /image/ /
# Folders are copied out of a folder, for only then do they keep their modes. /tmp is what `demo` needs.
COPY --from=build --chown=65532:65532 /owned/ /
COPY LICENSE-APACHE LICENSE-MIT /usr/share/licenses/keyward/
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Every interface of the container; compose.yaml narrows it where the network is the host's.
ENV KEYWARD_CONFIG=/config/proxy.toml \
    KEYWARD_LISTEN=0.0.0.0:8480 \
    KEYWARD_STATE=/data/state \
    KEYWARD_CERTS=/data/certs
EXPOSE 8480
# Pins and rests must outlive the container, also where nobody thought of it and the root is read-only.
VOLUME ["/data"]
STOPSIGNAL SIGTERM
# Of keyward itself: a device that can't be reached is no reason to restart it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["keyward", "health"]
ENTRYPOINT ["keyward"]
CMD ["run"]
