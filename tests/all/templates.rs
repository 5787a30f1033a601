//! Units that a template made, from the plan to the branch: ids with a `/` in commits, journal, keys and commands.
//!
//! Does not know how a template is expanded.

use loop_tests::{BRANCH, PLAN, Repo, creates};

const TEMPLATE: &str = r#"
template export {
    param name type=name
    param after type=list default=""
    unit handler { after "${after}"; goal "Export ${name}."; creates "src/${name}.txt"; accept "it is checked" by=check; }
    unit docs { needs handler; goal "Describe ${name}."; creates "docs/${name}.txt"; accept "it is checked" by=check; }
}
"#;

const FEATURE: &str = r#"feature feat {
    gate works {
        unit schema { goal "Make the schema."; creates "schema.txt"; accept "it is checked" by=check; }
        use export as=csv name=csv { after schema; }
        use export as=json name=json { after csv; }
        manual look { needs csv "json/docs"; step "Both are there."; }
        approve by=auto
    }
}
"#;

fn repo() -> Repo {
    let scripts = [
        ("schema", creates("schema.txt", "s")),
        ("csv/handler", creates("src/csv.txt", "c")),
        ("csv/docs", creates("docs/csv.txt", "cd")),
        ("json/handler", creates("src/json.txt", "j")),
        ("json/docs", creates("docs/json.txt", "jd")),
    ];
    let scripts: Vec<(&str, &str)> = scripts.iter().map(|(unit, script)| (*unit, script.as_str())).collect();
    let repo = Repo::scripted("unit replaced { goal g; creates x; }", &scripts);
    repo.write("shared.loop.kdl", TEMPLATE);
    repo.write(PLAN, format!("import \"./shared.loop.kdl\" export\n{FEATURE}"));
    repo.commit("Plan with templates");
    repo
}

#[test]
fn units_of_templates_run_land_and_are_found_again() {
    let repo = repo();
    repo.exec(&[]).expect(3);
    let made = ["schema", "csv/handler", "csv/docs", "json/handler", "json/docs"];
    assert_eq!(repo.journal().dispatched(), made);
    assert_eq!(repo.landed(BRANCH), made, "they land in the order in which the uses stand");
    let trailers = repo.git(&["log", "-1", "--format=%(trailers:key=Loop-Unit,valueonly)", BRANCH]);
    assert_eq!(trailers.trim(), "json/docs");

    let status = repo.run_loop(&["status", PLAN, "--json"]).expect(0).json();
    let text = status.to_string();
    for unit in made {
        assert!(text.contains(&format!("\"{unit}\"")), "{unit} is not in {text}");
    }
    let why = repo.run_loop(&["why", "csv/docs", PLAN]).expect(0);
    assert!(why.all().contains("csv/docs"), "{}", why.all());
    let log = repo.run_loop(&["log", "csv/handler"]);
    assert!(log.all().contains("csv/handler"), "{}", log.all());

    repo.run_loop(&["done", "look", PLAN]).expect(0);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched().len(), 5, "nothing is paid twice");

    // What is written once changes what is asked of both; what one use gives changes that one and what needs it.
    repo.edit("shared.loop.kdl", "Describe ${name}.", "Describe ${name} well.");
    let plan = repo.exec(&["--dry-run"]).expect(0);
    assert!(plan.all().contains("run      csv/docs: goal changed"), "{}", plan.all());
    assert!(plan.all().contains("run      json/docs: goal changed"), "{}", plan.all());
    assert!(!plan.all().contains("run      csv/handler"), "{}", plan.all());
    repo.run_loop(&["audit", "verify"]).expect(0);
}

#[test]
fn a_unit_that_is_written_out_under_another_id_asks_for_the_same() {
    let repo = repo();
    let graph = |repo: &Repo| repo.run_loopc(&["build", PLAN]).expect(0).json();
    let asks = |graph: &serde_json::Value, id: &str| {
        let nodes = graph["nodes"].as_array().expect("a graph has nodes");
        let node = nodes.iter().find(|node| node["id"] == id).unwrap_or_else(|| panic!("no {id} in {graph}"));
        node["ask_digest"].as_str().expect("a digest is a text").to_owned()
    };
    let expanded = graph(&repo);
    repo.edit(
        PLAN,
        "use export as=csv name=csv { after schema; }",
        r#"unit csv.handler { after schema; goal "Export csv."; creates "src/csv.txt"; accept "it is checked" by=check; }
        unit csv.docs { needs csv.handler; goal "Describe csv."; creates "docs/csv.txt"; accept "it is checked" by=check; }"#,
    );
    repo.edit(PLAN, "after csv;", "after csv.docs;");
    repo.edit(PLAN, "needs csv ", "needs csv.handler csv.docs ");
    let written = graph(&repo);
    for (one, other) in [("csv/handler", "csv.handler"), ("csv/docs", "csv.docs"), ("json/docs", "json/docs")]
    {
        assert_eq!(asks(&expanded, one), asks(&written, other));
    }
}

#[test]
fn a_run_in_part_names_the_unit_as_it_is_called() {
    let repo = repo();
    repo.exec(&["--unit", "csv/docs"]).expect(0);
    assert_eq!(repo.journal().dispatched(), ["schema", "csv/handler", "csv/docs"]);
    let wrong = repo.exec(&["--unit", "csv/dosc"]).expect(2);
    assert!(wrong.all().contains("csv/dosc"), "{}", wrong.all());
    repo.exec(&["--redo", "csv/docs"]).expect(3);
    assert_eq!(repo.journal().dispatched().iter().filter(|unit| *unit == "csv/docs").count(), 2);
}
