//! The static programs for nodes, for the architecture of the image.

use super::RenderError;
use kiln_profile::Arch;

/// An embedded program.
pub struct Program {
    name: &'static str,
    /// The environment variable that selects another program when kiln is built.
    variable: &'static str,
    bytes: &'static [u8],
}

/// `/init` of an initramfs.
pub(crate) static INIT: Program = Program { name: "kiln-init", variable: "KILN_INIT", bytes: kiln_programs::INIT };

/// The agent.
pub static AGENT: Program = Program { name: "kiln-agent", variable: "KILN_AGENT", bytes: kiln_programs::AGENT };

/// Checks that this kiln can make images for `arch`; called before anything is fetched.
///
/// # Errors
/// [`RenderError::ForeignProgram`] when an embedded program is for another architecture.
pub fn check_programs(arch: Arch) -> Result<(), RenderError> {
    [&INIT, &AGENT].into_iter().try_for_each(|program| program.for_arch(arch).map(|_| ()))
}

impl Program {
    /// Returns the program's bytes, for nodes of `arch`.
    ///
    /// # Errors
    /// [`RenderError::ForeignProgram`] when it is for another architecture.
    pub fn for_arch(&self, arch: Arch) -> Result<&'static [u8], RenderError> {
        if machine(self.bytes) == Some(arch) {
            return Ok(self.bytes);
        }
        let embedded = machine(self.bytes).map_or("an unknown architecture", Arch::as_str).to_owned();
        let Self { name, variable, .. } = self;
        Err(RenderError::ForeignProgram { name, variable, embedded, wanted: arch.as_str() })
    }

    /// Returns the program's bytes, for any architecture.
    pub fn bytes(&self) -> &'static [u8] {
        self.bytes
    }
}

/// Returns the architecture of an ELF file, from `e_machine`.
fn machine(elf: &[u8]) -> Option<Arch> {
    let machine = elf.get(18..20)?;
    match (elf.get(..6)?, u16::from_le_bytes([machine[0], machine[1]])) {
        (b"\x7fELF\x02\x01", 62) => Some(Arch::Amd64),
        (b"\x7fELF\x02\x01", 183) => Some(Arch::Arm64),
        _ => None,
    }
}
