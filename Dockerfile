# syntax=docker/dockerfile:1
# The image: the binary, the C library, certificate authorities, nothing else. No shell, no root.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The workspace names the fuzz targets and the Rust peers, so their manifests must be there; they are not built.
COPY tests/fuzz tests/fuzz
COPY tests/peers/rust tests/peers/rust
COPY config config
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin a2a-sidecar \
 && install -D target/release/a2a-sidecar /out/a2a-sidecar \
 && mkdir -m 0700 /out/state

# The same Debian as above: the same C library.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="a2a-sidecar" \
      org.opencontainers.image.description="Every notification mode of A2A for any worker" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/a2a-sidecar /usr/local/bin/a2a-sidecar
COPY --from=build --chown=65532:65532 /out/state /var/lib/a2a-sidecar
# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532

# Inside a container loopback is of no use to requesters. The operators' listener stays there: the health check below
# reaches it; set A2A_SIDECAR_ADMIN=0.0.0.0:9901 where probes or metrics come from outside.
ENV A2A_SIDECAR_LISTEN=0.0.0.0:8080 \
    A2A_SIDECAR_ADMIN=127.0.0.1:9901 \
    A2A_SIDECAR_STORE=sqlite:/var/lib/a2a-sidecar/tasks.db \
    A2A_SIDECAR_LOG_FORMAT=json
EXPOSE 8080 9901

# Tasks, push configs, pending deliveries and the key that seals them: what must outlive the container.
VOLUME /var/lib/a2a-sidecar

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["/usr/local/bin/a2a-sidecar", "healthcheck"]

# It drains for as long as server.drain says (25 s): stop it with docker stop --time 30.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/a2a-sidecar"]
