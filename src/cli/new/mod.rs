//! `edgepost new`: the folder of a service, ready to be published.

mod image;
mod project;

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use self::{
    image::{NewImage, registry_of},
    project::{NewFile, NewProject, Parts, UNKNOWN_ORG},
};
use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
    },
    document::{ServiceDefinition, Source},
    types::{Arch, ImageRef, Version},
};

/// Make the folder of a new service: definition, patterns, policies, Dockerfiles
///
/// An image that is built here:       edgepost new hello -i reg.example:5000/acme/hello
/// One that exists already:           edgepost new hello -i reg.example/acme/hello:1.0.0 --no-image-gen
/// Two containers:                    edgepost new shop -i reg.example/web -i reg.example/db
///
/// The files are those of `hzn dev service new`, in a folder NAME of their own, and both programs publish
/// them. An image without a tag is the base of a name for each architecture, IMAGE_$ARCH:$SERVICE_VERSION;
/// one with a tag or a digest is taken as it is. No file is ever overwritten.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct NewArgs {
    /// The service: letters, digits and `_ . -`
    #[arg(value_parser = service_name)]
    name: String,
    /// An image, [REGISTRY/]NAME[:TAG]; each makes a container; repeatable
    #[arg(short, long, required = true, value_parser = image)]
    image: Vec<(String, ImageRef)>,
    /// The version that it begins with
    #[arg(
        short = 'V',
        long,
        visible_alias = "ver",
        default_value = "1.0.0",
        value_name = "VERSION"
    )]
    service_version: Version,
    /// Make the files in this folder; without it, in a new folder NAME
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    parts: Parts,
    /// List the files that would be made, and make none
    #[arg(long)]
    dry_run: bool,
}

/// A name that does for a service, a container, a folder and a constraint.
fn service_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if fits {
        return Ok(text.to_owned());
    }
    Err("a name has letters, digits and _ . -, and begins with a letter or a digit".to_owned())
}

/// An image, and how it was written.
fn image(text: &str) -> Result<(String, ImageRef), String> {
    let image = text.parse::<ImageRef>().map_err(|error| error.to_string())?;
    Ok((text.to_owned(), image))
}

impl NewArgs {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let project = self.project(context)?;
        let files = project.files();
        check(&project, &files, context)?;
        let folder = self.dir.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        let paths: Vec<_> = files.iter().map(|it| folder.join(&it.path)).collect();
        refuse_existing(&paths)?;
        if !self.dry_run {
            make(&folder, &files)?;
        }
        let shown: Vec<_> = paths.iter().map(|it| it.display().to_string()).collect();
        let result =
            json!({"folder": folder.display().to_string(), "files": shown, "made": !self.dry_run});
        context.output.result(&result, || shown.join("\n"));
        if project.org.is_none() {
            let what = "note: the organization is not known, and so is `";
            context.output.note(format!("{what}{UNKNOWN_ORG}` in horizon/hzn.json"));
        }
        if !self.dry_run {
            context.output.next(format!("read {}", folder.join("README.md").display()));
        }
        Ok(())
    }

    fn project(&self, context: &Context) -> Result<NewProject, CliError> {
        let images = NewImage::all(&self.image).map_err(|name| {
            CliError::new(code::USAGE, format!("two images are called `{name}`"))
                .help("the last part of an image names its container, and so may stand there once")
        })?;
        let known = context.connection.known(&context.environment)?;
        Ok(NewProject {
            name: self.name.clone(),
            version: self.service_version.clone(),
            org: known.org,
            exchange: known.url,
            images,
            registry: registry_of(&self.image),
            parts: self.parts,
        })
    }
}

/// Reads the definition that would be made, as `edgepost publish` will.
fn check(project: &NewProject, files: &[NewFile], context: &Context) -> Result<(), CliError> {
    let variables = project.variables(&Arch::of_this_machine());
    let definition = Path::new("horizon/service.definition.json");
    for file in files.iter().filter(|it| it.path == definition) {
        let name = file.path.display().to_string();
        let read = Source::read(&name, &file.text, &variables)
            .and_then(|source| ServiceDefinition::from_source(&source));
        let (_, warnings) = read.map_err(|problems| {
            CliError::new(code::USAGE, "the service could not be published")
                .details(problems.all.iter().map(|it| format!("{name}:{it}")))
        })?;
        for warning in warnings {
            context.output.note(format!("warning: {name}:{warning}"));
        }
    }
    Ok(())
}

/// Tells every file that stands in the way.
fn refuse_existing(paths: &[PathBuf]) -> Result<(), CliError> {
    let existing: Vec<_> = paths.iter().filter(|it| it.symlink_metadata().is_ok()).collect();
    if existing.is_empty() {
        return Ok(());
    }
    Err(CliError::new(code::EXISTS, "there are such files already; nothing was made")
        .details(existing.iter().map(|it| it.display().to_string()))
        .help("take another name, or another folder with --dir"))
}

/// Makes the files, all or none.
fn make(folder: &Path, files: &[NewFile]) -> Result<(), CliError> {
    let mut made = Made::default();
    for file in files {
        let path = folder.join(&file.path);
        if let Err(error) = made.add(&path, file.text.as_bytes()) {
            made.undo();
            return Err(file_error(&path, &error));
        }
    }
    Ok(())
}

/// What was made, in its order.
#[derive(Debug, Default)]
struct Made {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    /// Makes a file that is not there, with the folders that it needs.
    fn add(&mut self, path: &Path, mut content: impl io::Read) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            self.add_folder(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        // From here on it is there, whatever becomes of its content.
        self.files.push(path.to_owned());
        io::copy(&mut content, &mut file).map(drop)
    }

    fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        let missing: Vec<_> = folder
            .ancestors()
            .take_while(|it| !it.as_os_str().is_empty() && it.symlink_metadata().is_err())
            .collect();
        for folder in missing.into_iter().rev() {
            std::fs::create_dir(folder)?;
            self.folders.push(folder.to_owned());
        }
        Ok(())
    }

    /// Takes all of it away again. What cannot be is at least no file of anybody else.
    fn undo(self) {
        for path in self.files {
            let _ = std::fs::remove_file(path);
        }
        for path in self.folders.into_iter().rev() {
            let _ = std::fs::remove_dir(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full after some bytes.
    struct Broken(usize);

    impl io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let read = self.0.min(buffer.len());
            self.0 -= read;
            Ok(read)
        }
    }

    #[test]
    fn a_file_that_was_half_written_and_its_folders_are_taken_away() {
        let home = tempfile::tempdir().unwrap();
        let kept = home.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        let mut made = Made::default();
        made.add(&kept.join("a/b/whole"), &b"text"[..]).unwrap();

        made.add(&kept.join("a/half"), Broken(3)).unwrap_err();

        assert_eq!(std::fs::read(kept.join("a/half")).unwrap().len(), 3);
        made.undo();
        assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 0);
    }

    #[test]
    fn what_others_have_made_stays() {
        let home = tempfile::tempdir().unwrap();
        Made::default().add(&home.path().join("theirs"), &b"theirs"[..]).unwrap();
        let file = |path: &str| NewFile { path: path.into(), text: "ours".to_owned() };

        make(home.path(), &[file("new/ours"), file("theirs")]).unwrap_err();

        assert_eq!(std::fs::read_to_string(home.path().join("theirs")).unwrap(), "theirs");
        assert!(!home.path().join("new").exists());
    }
}
