//! Repositories with a plan whose agent is a shell script per unit: the shape that most end-to-end tests have.
//!
//! Does not know what a test wants to see.

use crate::Repo;

/// Where the plan stands in a scripted repository.
pub const PLAN: &str = "plan.loop.kdl";
/// The branch that its units land on.
pub const BRANCH: &str = "loop/feat";

/// What one script of a unit may do is up to the test; this is the plainest: create a file with a line.
pub fn creates(path: &str, text: &str) -> String {
    format!("mkdir -p \"$(dirname '{path}')\"; printf '%s\\n' '{text}' > '{path}'\n")
}

impl Repo {
    /// A committed repository with [`PLAN`] (feature `feat`, whose `body` is given), a script for each unit, and a
    /// verifier `check` that fails when a file `broken` stands anywhere in the tree.
    ///
    /// The scripts are part of the repository and protected, so that they are there under every kind of containment.
    pub fn scripted(body: &str, scripts: &[(&str, &str)]) -> Repo {
        let repo = Repo::new(&[("README.md", "A repository of the tests.\n"), ("src/a.txt", "a\n")]);
        repo.write("loop.kdl", PROJECT);
        repo.write(PLAN, format!("feature feat {{\n{body}\n}}\n"));
        repo.write("agents/work.sh", WORK);
        for (unit, script) in scripts {
            repo.script(unit, script);
        }
        repo.commit("Plan");
        repo
    }

    /// Writes the script of a unit; the caller commits it.
    pub fn script(&self, unit: &str, script: &str) {
        self.write(&format!("agents/unit/{unit}.sh"), script);
    }

    /// Replaces a part of a file, once.
    ///
    /// # Panics
    /// When the part is not there exactly once.
    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}:\n{text}");
        self.write(path, text.replacen(from, to, 1));
    }

    /// `loop exec` of the plan with further arguments.
    pub fn exec(&self, arguments: &[&str]) -> crate::Outcome {
        let all: Vec<&str> = ["exec", PLAN].iter().chain(arguments).copied().collect();
        self.run_loop(&all)
    }
}

const WORK: &str = r#"#!/bin/sh
# Does what the test wrote down for this unit.
exec sh "agents/unit/$LOOP_UNIT.sh"
"#;

const PROJECT: &str = r#"project test base="main" {
    protect "agents/**"
    agent scripted via=command { run sh "agents/work.sh"; }
    defaults agent=scripted {
        verify check
        retry attempts=1
        timeout total="60s"
    }
    verifier check { shell "! find . -name broken | grep ."; }
}
"#;
