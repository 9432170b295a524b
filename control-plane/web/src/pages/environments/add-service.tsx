/** Add service: what it is, which engine, a version and a name. The steps are in the address, so Back goes back. */
import { type EngineInfo, type Environment, serviceNameProblem } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ChevronRight, Database } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { call, client } from "../../api.ts";
import { EngineMark } from "../../components/engine-mark.tsx";
import { OUTGOING_HELP } from "../../components/outgoing-words.ts";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { enginesQuery } from "../../queries.ts";
import { Button } from "../../ui/button.tsx";
import { cx } from "../../ui/classes.ts";
import { fieldError } from "../../ui/describe-error.ts";
import { Dialog, DialogActions } from "../../ui/dialog.tsx";
import { Field, Input, Select } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { Skeleton } from "../../ui/skeleton.tsx";
import { Switch } from "../../ui/switch.tsx";

export function AddServiceDialog({ environment }: { environment: Environment }) {
  const { add } = useSearch({ from: "/app/environments/$environmentId" });
  const navigate = useNavigate({ from: paths.environment });
  const close = () => void navigate({ search: {} });
  return (
    <Dialog
      open={add !== undefined}
      onClose={close}
      title={add === "database" ? "Add database" : "Add service"}
      description={`To ${environment.name}, on ${environment.server.name}`}
    >
      {add === "service" && <ChooseType onDatabase={() => void navigate({ search: { add: "database" } })} />}
      {add === "database" && <ChooseEngine environment={environment} onCancel={close} />}
    </Dialog>
  );
}

function ChooseType({ onDatabase }: { onDatabase: () => void }) {
  return (
    <button
      type="button"
      onClick={onDatabase}
      aria-label="Database"
      aria-describedby="type-database"
      className="flex w-full items-center gap-3 rounded-lg border border-line-strong p-3 text-left hover:border-accent hover:bg-hover"
    >
      <span className="grid size-9 shrink-0 place-items-center rounded-md bg-accent-soft text-accent-text">
        <Database size={17} aria-hidden="true" />
      </span>
      <span className="min-w-0 flex-1">
        <span className="block text-sm font-semibold">Database</span>
        <span id="type-database" className="block text-sm text-soft">
          Runs on your server, private to this environment.
        </span>
      </span>
      <ChevronRight size={16} aria-hidden="true" className="text-faint" />
    </button>
  );
}

function ChooseEngine({ environment, onCancel }: { environment: Environment; onCancel: () => void }) {
  const { data: engines, error, refetch } = useQuery(enginesQuery);
  if (error !== null && engines === undefined) return <Problem error={error} onRetry={() => void refetch()} />;
  if (engines === undefined) return <Skeleton className="h-56" />;
  return <DatabaseForm environment={environment} engines={engines} onCancel={onCancel} />;
}

interface DatabaseFormProps {
  environment: Environment;
  engines: readonly EngineInfo[];
  onCancel: () => void;
}

function DatabaseForm({ environment, engines, onCancel }: DatabaseFormProps) {
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const search = useSearch({ from: "/app/environments/$environmentId" });
  const engine = engines.find(({ id }) => id === search.engine) ?? engines[0];
  const [name, setName] = useState("");
  const [version, setVersion] = useState<string>();
  const [left, setLeft] = useState(false);
  const [outgoing, setOutgoing] = useState(false);
  const nameField = useRef<HTMLInputElement>(null);
  // The dialog was open already when this step came.
  useEffect(() => nameField.current?.focus(), []);
  const chosenVersion = engine?.versions.find((entry) => entry.version === version)?.version ?? engine?.defaultVersion;

  const create = useMutation({
    mutationFn: (body: { engine: string; version: string | undefined; name: string; outgoing: boolean }) =>
      call(
        client.POST("/api/v1/environments/{id}/services", {
          params: { path: { id: environment.id } },
          body: { type: "database", ...body },
        }),
      ),
    onSuccess: async (service) => {
      queryClient.setQueryData(keys.service(service.id), service);
      void queryClient.invalidateQueries({ queryKey: keys.environmentServices(environment.id) });
      await navigate({ to: paths.service, params: { serviceId: service.id } });
    },
  });
  if (engine === undefined) return <p className="text-sm text-soft">This installation offers no engines.</p>;

  const problem = serviceNameProblem(name, engine.reservedNames);
  // An empty field is not wrong before someone has been in it.
  const shownProblem = name === "" && !left ? undefined : problem;
  const refusedName = fieldError(create.error, "name");
  const refusedVersion = fieldError(create.error, "version");
  const standIn = engine.versions.find((entry) => entry.version === chosenVersion)?.standIn === true;

  return (
    <form
      noValidate
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        setLeft(true);
        if (problem === undefined) create.mutate({ engine: engine.id, version: chosenVersion, name, outgoing });
      }}
    >
      <fieldset className="grid gap-1.5">
        <legend className="mb-1.5 text-sm font-medium">Engine</legend>
        <div className="grid gap-2 sm:grid-cols-2">
          {engines.map(({ id, label, goodFor }) => (
            <label
              key={id}
              className={cx(
                "flex items-center gap-3 rounded-lg border p-2.5 has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent",
                id === engine.id ? "border-accent bg-accent-soft" : "border-line-strong hover:bg-hover",
              )}
            >
              <input
                type="radio"
                name="engine"
                value={id}
                checked={id === engine.id}
                aria-label={label}
                aria-describedby={`engine-${id}`}
                onChange={() =>
                  void navigate({
                    to: paths.environment,
                    params: { environmentId: environment.id },
                    search: { add: "database", engine: id },
                    replace: true,
                  })
                }
                className="sr-only"
              />
              <EngineMark engine={id} />
              <span className="min-w-0">
                <span className="block text-sm font-semibold">{label}</span>
                <span id={`engine-${id}`} className="block text-xs text-soft">
                  {goodFor}
                </span>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <Field
        label="Version"
        error={refusedVersion}
        help={standIn ? "A local stand-in: built here from distribution packages, not the official image." : undefined}
      >
        {(ids) => (
          <Select {...ids} value={chosenVersion} onChange={(event) => setVersion(event.target.value)}>
            {engine.versions.map((entry) => (
              <option key={entry.version} value={entry.version}>
                {engine.label} {entry.version}
                {entry.standIn ? " (local stand-in)" : ""}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field
        label="Name"
        error={shownProblem ?? refusedName}
        help="Lowercase letters, digits and hyphens. Other services in this environment reach it by this name."
      >
        {(ids) => (
          <Input
            {...ids}
            ref={nameField}
            value={name}
            placeholder="orders-db"
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            onBlur={() => setLeft(name !== "")}
            onChange={(event) => {
              setName(event.target.value);
              if (create.isError) create.reset();
            }}
          />
        )}
      </Field>
      <details className="rounded-lg border border-line px-3 py-2">
        <summary className="rounded-sm text-sm font-medium">Advanced</summary>
        <div className="pt-3 pb-1">
          <Switch label="Outgoing traffic" help={OUTGOING_HELP} checked={outgoing} onChange={setOutgoing} />
        </div>
      </details>
      {create.error !== null && refusedName === undefined && refusedVersion === undefined && (
        <Problem error={create.error} />
      )}
      <DialogActions>
        <Button onClick={onCancel}>Cancel</Button>
        <Button type="submit" variant="primary" busy={create.isPending}>
          Create Service
        </Button>
      </DialogActions>
    </form>
  );
}
