//! OVF: the virtual machine of a disk, and the manifest that protects both.
//!
//! DMTF DSP0243, version 1.1, with VMware's extensions for what the standard cannot express: the
//! firmware and the type of guest.

use std::fmt::Write;

/// The virtual hardware of ESXi 6.7 and later: the first version that supports UEFI and names
/// guests with Linux 4.x.
pub const HARDWARE_VERSION: u32 = 14;
/// Enough for a kubelet and some pods.
const CPUS: u32 = 2;
const MEMORY_MIB: u32 = 4096;

/// What an OVF descriptor describes.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a> {
    /// The name of the machine.
    pub name: &'a str,
    /// The name of the stream-optimized VMDK beside the descriptor.
    pub disk: &'a str,
    /// The size of that file in bytes.
    pub file_size: u64,
    /// The size of the disk in it in bytes.
    pub capacity: u64,
}

/// The descriptor: a machine with UEFI, one disk on a paravirtual SCSI controller, and one vmxnet3
/// network adapter.
pub fn descriptor(machine: Machine<'_>) -> String {
    let Machine { file_size, capacity, .. } = machine;
    let (name, disk) = (escaped(machine.name), escaped(machine.disk));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:href="{disk}" ovf:id="file1" ovf:size="{file_size}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="disk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="VM Network">
      <Description>The network of the node</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A Kubernetes node</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101" vmw:osType="other4xLinux64Guest">
      <Info>The guest operating system</Info>
      <Description>Linux, 64 bit</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-{HARDWARE_VERSION}</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:ElementName>{CPUS} virtual CPUs</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>{CPUS}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:ElementName>{MEMORY_MIB} MiB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>{MEMORY_MIB}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:ElementName>SCSI controller 0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType>
        <rasd:ResourceType>6</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>Hard disk 1</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/disk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>7</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>VM Network</rasd:Connection>
        <rasd:ElementName>Network adapter 1</rasd:ElementName>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="false"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#
    )
}

/// The manifest of `files` (names and digests), with a line `SHA256(name)= digest` for each.
pub fn manifest(files: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, sha256) in files {
        // Writing to a string does not fail.
        let _ = writeln!(text, "SHA256({name})= {sha256}");
    }
    text
}

/// `text` as an attribute's value or an element's content.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_attribute() {
        let machine = Machine { name: "a\"<b>&", disk: "disk.vmdk", file_size: 1, capacity: 2 };
        assert!(descriptor(machine).contains("<VirtualSystem ovf:id=\"a&quot;&lt;b&gt;&amp;\">"));
    }

    #[test]
    fn manifests_have_a_line_for_each_file() {
        assert_eq!(manifest(&[("a.ovf", "12".into()), ("b", "ab".into())]), "SHA256(a.ovf)= 12\nSHA256(b)= ab\n");
    }
}
