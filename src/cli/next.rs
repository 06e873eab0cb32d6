//! What comes next with a device that has just been written down: who serves it, or how that is started.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::writing::Writing;
use super::{neighbour, run, say, stanza};
use crate::config::{Address, Location, PLACES, Whereabouts, whereabouts};
use crate::server::control;
use crate::server::operate::{Instruction, Outcome};

/// A server that is stuck does not keep from its end what is written by now.
const PATIENCE: Duration = Duration::from_secs(3);

impl Writing<'_> {
    /// Says what comes next, and gives where to try the device then.
    pub(super) async fn say_next(&self) -> String {
        let place = whereabouts(Some(self.file), self.environment);
        let running = timeout(PATIENCE, control::ask(&place.state, &Instruction::Listening)).await;
        match running {
            Ok(Ok(Some(Outcome::Listening { address, file })))
                if neighbour::is_same_file(Path::new(&file), self.file) =>
            {
                say("The running keyward takes it over by itself. Try it:");
                address
            }
            Ok(Ok(Some(Outcome::Listening { file, .. }))) => {
                self.say_who_has_the_state(&file, &place).await;
                stanza::called(&place.listen).to_string()
            }
            _ => {
                self.say_how_to_start(&place.listen).await;
                stanza::called(&place.listen).to_string()
            }
        }
    }

    async fn say_how_to_start(&self, listen: &Address) {
        if neighbour::is_at(listen).await {
            return self.say_who_listens(listen);
        }
        say("Next:");
        // Where the unit of systemd looks for it; whether there is one that runs things, sd_booted(3) tells.
        let [_, of_service] = PLACES.map(Path::new);
        match self.file == of_service && Path::new("/run/systemd/system").is_dir() {
            true => say("  systemctl start keyward"),
            false => say(&format!("  keyward run{}", self.option())),
        }
    }

    /// What to do about a keyward that runs with the state folder of this file, and reads another one.
    async fn say_who_has_the_state(&self, reads: &str, place: &Whereabouts) {
        let option = self.option();
        say(&format!("The keyward that runs here reads {reads}, and knows nothing of this file."));
        let state = if self.environment.names_state() { "a KEYWARD_STATE" } else { "a `state`" };
        let port = match neighbour::is_at(&place.listen).await {
            true => format!(" and another port ({})", self.how_to_listen_beside(&place.listen)),
            false => String::new(),
        };
        say(&format!("End it, or give this one {state} of its own{port}; then `keyward run{option}`."));
        say("Try it:");
    }

    /// How this file, or what stands over it, gets another port.
    fn how_to_listen_beside(&self, listen: &Address) -> String {
        let at = match self.environment.listen() {
            Some(_) => Location::Variable("KEYWARD_LISTEN"),
            None => Location::Place(String::new()),
        };
        run::how_to_choose(&at, &neighbour::next(listen), self.file)
    }

    /// What to do about a keyward that listens there and is not the one of this file, or can't be asked.
    fn say_who_listens(&self, listen: &Address) {
        let option = self.option();
        say(&format!("A keyward listens at {listen} already."));
        // A page of what to write waits for a file that is found by itself, and for a first device.
        let is_first = self.before.as_ref().is_none_or(|before| before.devices().is_empty());
        let otherwise = if option.is_empty() && is_first {
            say("If it is the one whose page said what to write, it takes this over by itself.");
            "Otherwise end it"
        } else {
            "End it"
        };
        let how = self.how_to_listen_beside(listen);
        say(&format!("{otherwise} (a demo?), or choose another port: {how}; then `keyward run{option}`."));
        say("Try it:");
    }
}
