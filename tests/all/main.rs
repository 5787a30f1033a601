//! The one integration binary: each file beside this one is a module of it.
//!
//! Does not know the inside of the programs; unit tests stand next to the code.

mod bad_input;
mod check;
mod claude_cli;
mod claude_exec;
mod conformance;
mod crash;
mod crash_kinds;
mod damage;
mod demo;
mod fmt;
mod fuzz;
mod gates;
mod growth;
mod init;
mod model_server;
mod output;
mod pictures;
mod plan_diff;
mod probe;
mod process;
mod readme;
mod real_crate;
mod review;
mod rules_agent;
mod rules_attack;
mod rules_cache;
mod rules_input;
mod rules_limits;
mod rules_options;
mod rules_processes;
mod rules_project;
mod rules_scope;
mod rules_units;
mod rules_user;
mod rules_verifier;
mod rules_word;
mod spec;
mod stdlib;
mod templates;
mod tidy;

#[test]
fn every_file_beside_this_one_is_a_module() {
    let directory = loop_tests::workspace_root().join("tests/all");
    let main = std::fs::read_to_string(directory.join("main.rs")).expect("this file is readable");
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(&directory).expect("the directory is readable") {
        let path = entry.expect("its entries are readable").path();
        let name =
            path.file_stem().and_then(|name| name.to_str()).expect("names of modules are UTF-8").to_owned();
        if name != "main" && !main.lines().any(|line| line == format!("mod {name};")) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "never compiled, so never run: {missing:?}");
}
