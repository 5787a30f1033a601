//! Scripted repositories that count: each call of an agent and each run of a verifier leaves a line outside.
//!
//! Does not know what a test wants to see. The counts are files beside the repository, which a sandboxed command
//! cannot reach: they are for unconfined runs, and the journal is for the others.

use std::fs;
use std::time::Duration;

use crate::{Lane, Repo, lane, wait_until};

/// Without containment, and under bubblewrap.
pub const LEVELS: [&str; 2] = ["off", "bwrap"];

/// Runs `test` once for each containment level; `name` is the test's, for when bubblewrap is not there.
pub fn each_level(name: &str, test: impl Fn(&str)) {
    for level in LEVELS {
        if level == "off" || lane(Lane::Bubblewrap, name).is_some() {
            test(level);
        }
    }
}

impl Repo {
    /// As [`Repo::scripted`], at this containment level, and with counts.
    pub fn counted(level: &str, body: &str, scripts: &[(&str, &str)]) -> Repo {
        Repo::with_project(level, PROJECT, body, scripts)
    }

    /// As [`Repo::counted`], with another `loop.kdl`.
    pub fn with_project(level: &str, project: &str, body: &str, scripts: &[(&str, &str)]) -> Repo {
        let mut repo = Repo::new(&[("README.md", "A repository of the tests.\n"), ("src/a.txt", "a\n")]);
        repo.write("loop.kdl", project);
        repo.write(crate::PLAN, format!("feature feat {{\n{body}\n}}\n"));
        repo.write("agents/work.sh", WORK);
        scripts.iter().for_each(|(unit, script)| repo.script(unit, script));
        repo.commit("Plan");
        let counts = repo.outside().join("counts");
        fs::create_dir(&counts).expect("a directory in the temporary directory");
        repo.set_env("LOOP_CONTAINMENT", level);
        repo.set_env("COUNTS", counts.to_str().expect("temporary paths are UTF-8"));
        repo
    }

    /// Lines that were left under a name: `agent` or `verifier`, or what a script chose.
    pub fn count(&self, name: &str) -> usize {
        fs::read_to_string(self.outside().join("counts").join(name)).map_or(0, |text| text.lines().count())
    }

    /// Waits for a line under a name, which says that a script has come so far.
    pub fn wait_for(&self, name: &str) {
        wait_until(name, Duration::from_secs(60), || self.count(name) > 0);
    }

    /// The text of a file at the head of the feature's branch; `None` if it is not there.
    pub fn landed_file(&self, path: &str) -> Option<String> {
        let mut command = self.command("git");
        let output = command.arg("show").arg(format!("{}:{path}", crate::BRANCH)).output().expect("git runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

const WORK: &str = r#"#!/bin/sh
# Does what the test wrote down for this unit, and leaves a line for the call.
{ echo "$LOOP_UNIT" >> "$COUNTS/agent"; } 2> /dev/null
exec sh "agents/unit/$LOOP_UNIT.sh"
"#;

const PROJECT: &str = r#"project test base="main" {
    protect "agents/**"
    agent scripted via=command { run sh "agents/work.sh"; env COUNTS; }
    defaults agent=scripted {
        verify check
        retry attempts=1
        timeout total="60s"
    }
    verifier check {
        shell "{ echo check >> \"$COUNTS/verifier\"; } 2> /dev/null; ! find . -name broken | grep ."
        env COUNTS
    }
}
"#;
