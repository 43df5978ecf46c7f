//! The command line as people type it.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_grammar_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_help_text() {
    fn check(command: &clap::Command) {
        assert!(
            command.get_about().is_some(),
            "{} has no help",
            command.get_name()
        );
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} {} has no help",
                command.get_name(),
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn what_people_type_is_understood() {
    for line in [
        "run study.yaml --set budget.trials=4 --set message=x --detach",
        "study export digits --format csv -o out.csv",
        "trial add digits lr=0.01 optimizer=adam --value -0.5",
        "trial logs digits/7 -f --tail 16KiB",
        "study list --output json --coordinator gpu1:7700",
        "--output json study best digits --top 3",
        "up --data /tmp/x --listen 127.0.0.1:0 --slots 2 --gpus 0,1",
        "completions bash",
    ] {
        if let Err(error) = Cli::try_parse_from(std::iter::once("tunesmith").chain(line.split(' '))) {
            panic!("{line}: {error}");
        }
    }
    for line in [
        "study show digits/7",
        "trial show digits",
        "up --no-worker --slots 1",
        "up --slots 0",
        "study edit digits",
    ] {
        assert!(
            Cli::try_parse_from(std::iter::once("tunesmith").chain(line.split(' '))).is_err(),
            "{line}"
        );
    }
}
