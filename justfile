# What one does here, by name; `just` lists it.

host := `rustc --print host-tuple`

_default:
    @just --list

# Compiles and lints, as quick as it gets
check:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    cargo clippy --test slow --locked -- -D warnings

# Runs all tests, or those whose name contains the argument
test *name:
    cargo test --locked {{name}}

# Runs the tests that need more than Rust: strace, network namespaces, a browser, minutes
slow *name:
    cargo test --locked --test slow {{name}}

# Many callers, every trouble and reloads for so many minutes; KEYWARD_SOAK_SEED repeats one
soak minutes="3":
    KEYWARD_SOAK_MINUTES={{minutes}} cargo test --locked --test slow soak -- --nocapture

# Measures keyward beside nginx and others: `just bench rounds=9 only=small`; `just bench forward` counts instructions alone
bench *words:
    bash benches/run {{words}}

# Counts which of npm's http-cache-tests pass, in a minute; needs Node. With the id of a test, tells that one in full
cache-tests *test:
    cargo build --release --locked
    mkdir -p target/http-cache-tests
    npm install --silent --no-save --prefix target/http-cache-tests http-cache-tests@0.4.5
    node --no-warnings tests/http-cache-tests/measure.mjs \
        target/http-cache-tests/node_modules/http-cache-tests target/release/keyward {{test}}

# Serves simulated devices, to try keyward without one
demo *arguments:
    cargo run --locked -- demo {{arguments}}

# Everything that a change has to pass
ci:
    bash .ci/run

# Builds the container image
image tag="keyward":
    docker build --tag {{tag}} \
        --build-arg VERSION="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)" \
        --build-arg REVISION="$(git rev-parse HEAD)" .

# Builds keyward as it is released, quicker than what cargo builds by itself, in four times the time; needs curl and rustup
release target=host:
    bash packaging/profiled {{target}} release

# Builds a Debian package into target/debian; needs cargo-deb
deb: release
    bash packaging/extras target/{{host}}/release/keyward target/package
    cargo deb --locked --no-build --target {{host}}

# Feeds one of the targets in fuzz/ for so many seconds: `just fuzz route 600`. Needs nightly Rust and cargo-fuzz
fuzz target seconds="60":
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- \
        -max_total_time={{seconds}} -timeout=10 -rss_limit_mb=2048
