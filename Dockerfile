# The webhook's image. `docker build -t colocation-webhook .` needs nothing else; docs/image.md tells the rest.
#
# Both bases have the same Python at the same place: what the first stage installs is moved into the second.
ARG BUILD_BASE=docker.io/library/python:3.11.13-bookworm
ARG BASE=docker.io/library/python:3.11.13-slim-bookworm

FROM ${BUILD_BASE} AS build
WORKDIR /source
# Where packages come from, and whom to trust for it, is the builder's own business: secrets leave no trace.
COPY image/requirements.txt image/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip.crt,target=/etc/pip.crt \
    python3 -m venv /tools \
 && /tools/bin/pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /wheels --requirement image/requirements.txt
COPY . .
ARG SOURCE_DATE_EPOCH
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip.crt,target=/etc/pip.crt \
    /tools/bin/pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /wheels .
# A folder without pip, without what only compilers and debuggers read, and with the byte code, for nobody can
# write it later. Of all commands only the webhook's own stays. Of what it requires only `kubernetes` may be missing.
RUN python3 -m venv --without-pip /opt/colocation-webhook \
 && cd /opt/colocation-webhook \
 && /tools/bin/pip --python bin/python3 install --quiet --no-index --no-deps --no-compile /wheels/*.whl \
 && { /tools/bin/pip --python bin/python3 check > /tools/check || grep -q 'requires kubernetes,' /tools/check; } \
 && ! grep -v -e '^colocation-webhook .* requires kubernetes, which is not' -e '^No broken' /tools/check \
 && find bin -type f ! -name colocation-webhook -delete \
 && rm -rf include share \
 && find lib \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.c' -o -name '*.h' \) -delete \
 && find lib -type d \( -name tests -o -name test \) -prune -exec rm -rf {} + \
 && find lib -name '*.so' -exec strip --strip-unneeded {} + \
 && bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash lib

FROM ${BASE}
LABEL org.opencontainers.image.title="colocation-webhook" \
      org.opencontainers.image.description="Colocation admission for Kubernetes, compatible with Koordinator's protocol" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
COPY --from=build /opt/colocation-webhook /opt/colocation-webhook
# Python's official image has the standard library without its byte code. Nothing here needs to become root.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      -x '/(ensurepip|idlelib|lib2to3|site-packages|dist-packages|test|tests|tkinter|turtledemo)/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV PATH=/opt/colocation-webhook/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8443 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
  CMD ["python3", "-ISc", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8081/healthz', timeout=4)"]
ENTRYPOINT ["colocation-webhook"]
CMD ["--help"]
