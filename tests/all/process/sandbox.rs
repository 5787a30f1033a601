//! What a sandbox hides and forbids.
//!
//! Does not know how a command line of bubblewrap is built: unit tests stand next to that.

use super::*;

// What a sandbox hides and forbids.

/// Runs a script in the sandbox and gives its output.
fn inside(place: &Place, profile: Profile, script: &str) -> String {
    let mut spec = place.sh(script);
    spec.profile = profile;
    let outcome = run(spec);
    assert_eq!(outcome.end, End::Exited(0), "{} {}", outcome.stdout.text(), outcome.stderr.text());
    outcome.stdout.text() + &outcome.stderr.text()
}

#[test]
fn the_sandbox_holds_here_or_says_why_not() {
    let detected = detect(None, &loop_program());
    assert_eq!(detected.reasons.is_empty(), detected.containment == Containment::Bwrap);
    let off = detect(Some(Containment::Shim), &loop_program());
    assert_eq!(off.containment, Containment::Shim);
    assert!(!off.reasons.is_empty());
    assert_eq!(Profile::agent(&off).containment(), Containment::Shim);
}

#[test]
fn only_the_worktree_can_be_written_and_the_rest_is_not_there() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    std::fs::write(place.root.join("secret"), "secret").expect("writable");
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let script = format!(
        "echo mine > mine; cat '{root}/secret'; echo x > '{root}/secret'; cat /etc/shadow; ls -A /run /tmp; \
         ls -A {home}/.ssh {home}/.gitconfig; touch /usr/x && echo wrote usr; touch /etc/hosts && echo wrote etc; \
         cat /proc/1/environ; ls /sys; true",
        root = place.root
    );
    let output = inside(&place, place.agent(&detected), &script);
    assert_eq!(place.read("mine"), "mine\n");
    assert_eq!(std::fs::read_to_string(place.root.join("secret")).expect("it is there"), "secret");
    for word in ["secret\n", "root:", "wrote", "id_", "BEGIN"] {
        assert!(!output.contains(word), "{word}: {output}");
    }
    let meta = std::fs::metadata(place.work.join("mine")).expect("it is there");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), rustix::process::getuid().as_raw());
}

#[test]
fn root_inside_is_nobody() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let script = "id -u; id -un; grep -E 'Cap(Eff|Prm|Bnd)|NoNewPrivs' /proc/self/status; \
        echo 3 > /proc/sys/vm/drop_caches; mount -o remount,rw,bind / ; mknod n c 1 3; chown 0 .; \
        echo $$; ls -d /proc/[0-9]* | wc -l; hostname";
    let output = inside(&place, place.verifier(&detected), script);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["1000", "user"], "{output}");
    assert!(
        output.contains("CapEff:\t0000000000000000") && output.contains("CapBnd:\t0000000000000000"),
        "{output}"
    );
    assert!(output.contains("NoNewPrivs:\t1"), "{output}");
    assert!(!place.work.join("n").exists(), "{output}");
    for what in ["drop_caches", "mount:", "mknod:", "chown:"] {
        assert!(output.contains(what), "it should have failed: {what}: {output}");
    }
}

#[test]
fn the_loopback_is_the_hosts_or_an_empty_one() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback");
    let port = listener.local_addr().expect("bound").port();
    let connect = format!(
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2); print(\"reached\")' 2>&1 | tail -1"
    );
    let python =
        toolchain_binds(&std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v))).collect());
    let network = |profile: Profile| {
        let mut spec = place.sh(&connect);
        spec.profile = profile.with_all(python.mounts.clone());
        spec.env.extend(python.env.clone());
        let path = std::env::var("PATH").unwrap_or_default();
        spec.env.insert("PATH".to_owned(), format!("{TEST_PATH}:{path}").into());
        run(spec).stdout.text()
    };
    assert_eq!(network(place.agent(&detected)).trim(), "reached");
    let denied = network(place.verifier(&detected));
    assert!(denied.contains("refused"), "{denied}");
    // Its own loopback works: test suites start servers.
    let own = "python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); \
        socket.create_connection(s.getsockname(), 2); print(\"own\")'";
    let mut spec = place.sh(own);
    spec.profile = place.verifier(&detected).with_all(python.mounts.clone());
    spec.env.extend(python.env.clone());
    let path = std::env::var("PATH").unwrap_or_default();
    spec.env.insert("PATH".to_owned(), format!("{TEST_PATH}:{path}").into());
    let outcome = run(spec);
    assert_eq!(outcome.stdout.text().trim(), "own", "{}", outcome.stderr.text());
}

#[test]
fn objects_are_read_only_and_the_loops_own_directory_is_hidden() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let git = place.root.join("repository/.git");
    for dir in ["objects/pack", "loop/journal", "refs"] {
        std::fs::create_dir_all(git.join(dir)).expect("new");
    }
    std::fs::write(git.join("objects/pack/p"), "object").expect("writable");
    std::fs::write(git.join("loop/journal/j"), "a record").expect("writable");
    std::fs::write(git.join("config"), "a setting").expect("writable");
    let script = format!(
        "cat {git}/objects/pack/p; echo; echo x > {git}/objects/pack/p; ls {git}; cat {git}/loop/journal/j; \
         echo x > {git}/loop/x; cat {git}/config; true"
    );
    let objects_only = place.agent(&detected).with(git.join("objects"), Access::Read, Role::Objects);
    let output = inside(&place, objects_only, &script);
    assert!(output.starts_with("object\n"), "{output}");
    assert_eq!(std::fs::read_to_string(git.join("objects/pack/p")).expect("it is there"), "object");
    assert!(!output.contains("a record") && !output.contains("a setting"), "{output}");
    assert!(!git.join("loop/x").exists());
    // A directory above it that is bound does not show it.
    let whole = place
        .agent(&detected)
        .with(git.join("loop"), Access::Hidden, Role::Secret)
        .with(git.join("config"), Access::Hidden, Role::Secret)
        .with(&git, Access::Write, Role::GitDir);
    let output = inside(&place, whole, &script);
    assert!(!output.contains("a record") && !output.contains("a setting"), "{output}");
    assert!(!git.join("loop/x").exists());
    assert_eq!(std::fs::read_to_string(git.join("loop/journal/j")).expect("it is there"), "a record");
}

#[test]
fn agents_may_nest_sandboxes_and_verifiers_may_not() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let script = "bwrap --unshare-user --ro-bind / / -- echo nested 2>&1; true";
    assert_eq!(inside(&place, place.agent(&detected), script).trim(), "nested");
    assert_ne!(inside(&place, place.verifier(&detected), script).trim(), "nested");
}

#[test]
fn a_sandbox_that_cannot_be_made_is_the_environments_fault() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let mut spec = place.sh("true");
    // The working directory is not part of the view.
    spec.profile = Profile::agent(&detected);
    assert!(matches!(try_run(spec), Err(ProcessError::Sandbox(why)) if why.contains("work tree")));
}

#[test]
fn a_signal_inside_the_sandbox_is_told() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let mut spec = place.sh("kill -9 $$");
    spec.profile = place.agent(&detected);
    ended(End::Signaled(9), spec);
    let mut spec = place.sh("exit 3");
    spec.profile = place.agent(&detected);
    ended(End::Exited(3), spec);
}

#[test]
fn rust_and_git_work_inside() {
    let Some(detected) = confined() else { return };
    let place = Place::new();
    let env: BTreeMap<String, OsString> =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    let tools = toolchain_binds(&env);
    let mut spec = place.sh(
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --oneline | wc -l \
         && cargo init -q --vcs none --name probe . && cargo run -q --offline",
    );
    spec.profile = place.verifier(&detected).with_all(tools.mounts);
    spec.env.extend(tools.env);
    spec.env.insert("PATH".to_owned(), env.get("PATH").cloned().unwrap_or_default());
    spec.env.insert("HOME".to_owned(), "/tmp".into());
    let outcome = ended(End::Exited(0), spec);
    assert_eq!(outcome.stdout.text(), "1\nHello, world!\n");
}
