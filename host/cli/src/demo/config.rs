//! The configuration that the demo runs with and leaves for the user to go on with. An ordinary one: nothing in it is
//! possible in the demo only.

use std::path::{Path, PathBuf};

use devstore::DevStore;

use super::{DemoError, DemoOptions};

pub const BUCKET: &str = "demo-bucket";
pub const REGION: &str = "us-east-1";
/// What the demo's own store takes; it is gone when the demo ends.
pub const ACCESS_KEY: &str = "demo-access-key";
pub const SECRET_KEY: &str = "demo-secret-key";
/// The destinations, in the order in which the demo exports to them.
pub const DESTINATIONS: [&str; 2] = ["parquet", "jsonl"];
/// The file's name in the demo's folder.
const FILE: &str = "demo.toml";

/// Writes the file.
pub fn write(folder: &Path, store: &DevStore, options: &DemoOptions) -> Result<PathBuf, DemoError> {
    let path = folder.join(FILE);
    let component = match &options.component {
        Some(component) => {
            let component = std::path::absolute(component).map_err(|source| DemoError::Folder {
                folder: component.clone(),
                source,
            })?;
            let component = toml::Value::from(component.display().to_string());
            format!("[component]\npath = {component}\n\n")
        }
        None => String::new(),
    };
    let destinations = DESTINATIONS.map(|name| destination(name, store, options.rows_per_hour));
    let text = format!(
        "# Written by `batch-export demo`. Its store was local and no longer exists; to export to a real bucket,\n\
         # change the lines marked `real:`.\n\n{component}{}",
        destinations.join("\n")
    );
    match std::fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(DemoError::Folder { folder: path, source }),
    }
}

fn destination(name: &str, store: &DevStore, rows_per_hour: u64) -> String {
    let format = match name {
        "parquet" => {
            "file_format = \"Parquet\"\n\
             compression = \"zstd\"\n"
        }
        _ => {
            "file_format = \"JSONLines\"\n\
             compression = \"gzip\"\n\
             max_file_size_mb = 10                       # small, so that files are split\n"
        }
    };
    format!(
        "[destinations.{name}]\n\
         model = \"events\"\n\
         bucket_name = \"{BUCKET}\"                 # real: your bucket\n\
         region = \"{REGION}\"                        # real: its region\n\
         prefix = \"{name}/{{table}}/{{year}}-{{month}}-{{day}}/\"\n\
         {format}\
         endpoint_url = \"{}\"   # real: delete for AWS, or the URL of your store\n\
         aws_access_key_id = \"{ACCESS_KEY}\"       # real: \"${{env:AWS_ACCESS_KEY_ID}}\"\n\
         aws_secret_access_key = \"{SECRET_KEY}\"   # real: \"${{env:AWS_SECRET_ACCESS_KEY}}\"\n\
         # real: or instead of the two keys, with a role or profile: credentials = {{ source = \"host\" }}\n\
         \n\
         [destinations.{name}.source]\n\
         type = \"sample\"                            # real: \"files\" and path = \"folder/with/events/\"\n\
         rows_per_hour = {rows_per_hour}                      # real: delete with type \"files\"\n\
         \n\
         [destinations.{name}.schedule]               # used by `batch-export serve`\n\
         every = \"5 minutes\"                        # real: \"hour\"\n\
         settle = \"5 seconds\"                       # real: delete, so that late rows have a minute to arrive\n\
         \n\
         [destinations.{name}.egress]\n\
         allow_private = [\"{}\"]        # real: delete, or the address of a store in your own network\n",
        store.endpoint(),
        store.address()
    )
}
