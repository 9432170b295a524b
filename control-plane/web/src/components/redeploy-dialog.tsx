/** Asks before a database whose container and data are both gone is made anew, empty. */
import type { Service } from "@dflow/protocol";
import { GoesAndStays, TypedNameDialog } from "./typed-name.tsx";

interface RedeployDialogProps {
  service: Service;
  open: boolean;
  onClose: () => void;
  onConfirm: (name: string) => void;
}

export function RedeployDialog({ service, open, onClose, onConfirm }: RedeployDialogProps) {
  return (
    <TypedNameDialog
      open={open}
      onClose={onClose}
      title={`Deploy ${service.name} anew`}
      name={service.name}
      confirmLabel="Deploy"
      onConfirm={() => {
        onConfirm(service.name);
        onClose();
      }}
    >
      <p className="text-sm text-soft">
        The container and the data of this database are no longer on {service.server.name}. Deploying makes a new, empty
        database under the same name and credentials.
      </p>
      <GoesAndStays goes={["What it held before is not brought back"]} stays={["Name, user and password"]} />
    </TypedNameDialog>
  );
}
