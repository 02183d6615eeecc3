# syntax=docker/dockerfile:1
# The image: the binary, the C library, certificate authorities, nothing else. No shell, no root.

FROM rust:1.95-slim-bookworm AS build
# The slim image has a C compiler and no make, which building the allocator runs. All of Debian's development files, which
# the image without "slim" adds, would be hundreds of MB to fetch for that one program.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The workspace names the fuzz targets and the Rust peers, so their manifests must be there, and a library where a manifest
# says that there is one; they are not built.
COPY tests/fuzz/Cargo.toml tests/fuzz/Cargo.toml
COPY tests/fuzz/src tests/fuzz/src
COPY tests/peers/rust/Cargo.toml tests/peers/rust/Cargo.toml
COPY config config
COPY src src
# The caches have names, because every Dockerfile of an engine shares those that have none, and are for one build at a
# time, because another platform's build would put its program in the place of ours before it is copied out.
# Cargo builds anew what is younger than the last build, and files keep their times: without touch, a checkout that is
# older than the cache would get the program of another one.
# objcopy packs the line tables of backtraces, which are more than half of the program.
RUN --mount=type=cache,id=a2a-sidecar-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=a2a-sidecar-target,target=/src/target,sharing=locked \
    find src config -type f -exec touch {} + \
 && cargo build --locked --profile dist --bin a2a-sidecar \
 && mkdir -p /out/bin /out/lib/a2a-sidecar \
 && chmod 0700 /out/lib/a2a-sidecar \
 && objcopy --compress-debug-sections=zlib target/dist/a2a-sidecar /out/bin/a2a-sidecar

# The same Debian as above: the same C library.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="a2a-sidecar" \
      org.opencontainers.image.description="Every notification mode of A2A for any worker" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/bin/a2a-sidecar /usr/local/bin/a2a-sidecar
# Into the folder above: a folder that is named itself would be made anew, open to everybody.
COPY --from=build --chown=65532:65532 /out/lib /var/lib
# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532

# Variables are flags by another name, so these win over a file: what they say is changed by flags or other variables.
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

# It drains for as long as server.drain says (25 s): stop it with docker stop -t 30.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/a2a-sidecar"]
