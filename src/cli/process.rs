//! What the process does about itself before it holds a credential.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Keeps the memory to itself, and takes as many descriptors as it may have. Goes first, before there is a log: what
/// the system refuses is no reason not to serve, and nothing that a person could mend.
pub(super) fn prepare() {
    // What a crash would write down holds every secret.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // A handler in the place of a core file is not bound by that limit, nor is another process of the same user.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Service managers and shells give few at first, for programs that use select(2).
    let descriptors = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, ..descriptors });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_not_dumped_and_every_descriptor_is_taken() {
        prepare();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        let descriptors = getrlimit(Resource::Nofile);
        assert_eq!(descriptors.current, descriptors.maximum);
    }
}
